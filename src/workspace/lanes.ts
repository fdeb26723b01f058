/** Files of a context brought by several threads at a time, when there are many. */
import { availableParallelism } from 'node:os';
import type { Fd } from '../syscall/files.ts';
import type { Entry } from './entry.ts';
import { Helper } from './helper.ts';
import type { Chunk, Lane, LaneOptions } from './lane.ts';
import { copySizeOf, ROW_WORDS, sizeOf, type Rows } from './rows.ts';
import type { Known } from './table.ts';

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
/** files for which it is worth to start threads */
const MANY_FILES = 1000;
const MOST_HELPERS = 3;

/** Lanes of this thread and, from the first large piece of work on, of others. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #own: Lane;
  /** not zero: all threads end what they do */
  readonly #stopped = new Int32Array(new SharedArrayBuffer(4));
  readonly #stop = (): void => void Atomics.store(this.#stopped, 0, 1);
  #helpers: Helper[] = [];
  #done = { files: 0, bytes: 0 };

  /** `own`: the lane of this thread, with the same options. */
  constructor(own: Lane, options: LanesOptions) {
    this.#own = own;
    this.#options = options;
    options.signal.addEventListener('abort', this.#stop);
  }

  /** Says that there will be much to do: threads need a while to start. Run from TypeScript there is none: no file that one could load exists. */
  expectMany(): void {
    if (this.#helpers.length > 0 || !import.meta.url.endsWith('.js')) return;
    const count = Math.min(MOST_HELPERS, availableParallelism() - 1);
    const { rules, owner } = this.#options;
    this.#helpers = Array.from({ length: count }, () => new Helper({ rules, owner, stopped: this.#stopped }));
  }

  /**
   * Brings files: their rows say what became of each, as copyFile does. Throws CONTEXT_REFUSED for what does not hold still or has grown beyond
   * `maxBytes`, CANCELED, and the errors of writing; nothing is written any more then, and no other work can be done.
   */
  async bring(files: readonly Entry[], options: BringOptions): Promise<void> {
    const chunks = chunksOf(files, options.rows);
    if (files.length >= MANY_FILES) this.expectMany();
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
          this.#stop();
        }
      }
    };
    const isOver = work(this.#own);
    await Promise.all([isOver, ...this.#helpers.map(async (helper) => (await Promise.race([helper.ready, isOver]), work(helper.lane)))]);
    const failed = failure as { error: unknown } | null;
    if (failed !== null) throw failed.error;
  }

  #report(entries: readonly Entry[], { words }: Rows): void {
    this.#done = { files: this.#done.files + entries.length, bytes: entries.reduce((sum, { at }) => sum + copySizeOf(words, at), this.#done.bytes) };
    this.#options.onProgress?.(this.#done);
  }

  /** Ends the other threads. */
  close(): void {
    this.#options.signal.removeEventListener('abort', this.#stop);
    for (const helper of this.#helpers) helper.close();
    this.#helpers = [];
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
