/** Files of a context brought in several lanes at a time: while the kernel writes for one, another one looks and judges. */
import type { Fd } from '../../syscall/files.ts';
import type { Entry } from './entry.ts';
import type { Chunk, Lane, LaneOptions } from './lane.ts';
import { Pace } from '../pace.ts';
import { copySizeOf, ROW_WORDS, sizeOf, type Rows } from '../store/rows.ts';
import type { Known } from '../store/table.ts';

/** How far a copy is. */
export interface Progress {
  /** files that are done */
  readonly files: number;
  /** their content in `bytes` */
  readonly bytes: number;
}

export interface LanesOptions extends LaneOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface BringOptions {
  readonly rows: Rows;
  /** the directory that copies go to; null: files are only read */
  readonly to: Fd | null;
  /** what is copied already: a file that would be the same is not written */
  readonly known: Known | null;
  /** most content that is copied, in `bytes` */
  readonly maxBytes: number;
}

/** what one lane takes at a time, by files and by their content in `bytes` */
const CHUNK_FILES = 256;
const CHUNK_BYTES = 4 * 1024 * 1024;
const LANES = 3;

export class Lanes {
  readonly #laneOf: (options: LaneOptions, pace: Pace) => Lane;
  readonly #options: LanesOptions;
  readonly #pace: Pace;
  readonly #lanes: Lane[] = [];
  #hasFailed = false;
  #done = { files: 0, bytes: 0 };

  constructor(laneOf: (options: LaneOptions, pace: Pace) => Lane, options: LanesOptions) {
    this.#laneOf = laneOf;
    this.#options = options;
    const isOver = (): boolean => this.#hasFailed || options.signal.aborted;
    this.#pace = new Pace({
      get aborted() {
        return isOver();
      },
    });
  }

  /**
   * Brings files: their rows say what became of each, as copyFile does. Throws CONTEXT_REFUSED for what does not hold still or has grown beyond
   * `maxBytes`, CANCELED, and the errors of writing; nothing is written any more then, and no other work can be done.
   */
  async bring(files: readonly Entry[], options: BringOptions): Promise<void> {
    const chunks = chunksOf(files, options.rows);
    while (this.#lanes.length < Math.min(LANES, chunks.length)) this.#lanes.push(this.#laneOf(this.#options, this.#pace));
    let brought = 0;
    let failure: { error: unknown } | null = null;
    const work = async (lane: Lane): Promise<void> => {
      for (let entries = chunks.pop(); entries !== undefined && failure === null; entries = chunks.pop()) {
        try {
          const words = await lane(chunkOf(entries, options, options.maxBytes - brought));
          for (const [index, { at }] of entries.entries()) {
            options.rows.words.set(words.subarray(index * ROW_WORDS, (index + 1) * ROW_WORDS), at);
            brought += copySizeOf(words, index * ROW_WORDS);
          }
          this.#report(entries, options.rows);
        } catch (error) {
          failure ??= { error };
          this.#hasFailed = true;
        }
      }
    };
    await Promise.all(this.#lanes.map(work));
    const failed = failure as { error: unknown } | null;
    if (failed !== null) throw failed.error;
  }

  #report(entries: readonly Entry[], { words }: Rows): void {
    this.#done = { files: this.#done.files + entries.length, bytes: entries.reduce((sum, { at }) => sum + copySizeOf(words, at), this.#done.bytes) };
    this.#options.onProgress?.(this.#done);
  }
}

// Files of one source in the order of the scan, the first last.
const chunksOf = (files: readonly Entry[], { words }: Rows): Entry[][] => {
  const chunks: Entry[][] = [];
  let bytes = 0;
  for (const entry of files) {
    const last = chunks.at(-1);
    const size = sizeOf(words, entry.at);
    const isFull = last === undefined || last.length === CHUNK_FILES || bytes + size > CHUNK_BYTES || last[0]!.source !== entry.source;
    if (isFull) chunks.push([entry]);
    else last.push(entry);
    bytes = isFull ? size : bytes + size;
  }
  return chunks.reverse();
};

const chunkOf = (entries: readonly Entry[], { to, known }: BringOptions, room: number): Chunk => {
  const { fd: source, place } = entries[0]!.source;
  const paths = entries.map(({ path }) => path);
  return { source, place, paths, to, room, known: known === null ? null : knownRows(paths, known) };
};

const knownRows = (paths: readonly string[], known: Known): Uint32Array => {
  const words = new Uint32Array(paths.length * ROW_WORDS);
  for (const [index, path] of paths.entries()) {
    const row = known.find(path);
    if (row >= 0) words.set(known.table.words.subarray(row, row + ROW_WORDS), index * ROW_WORDS);
  }
  return words;
};
