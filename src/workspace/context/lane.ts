/** Files of a context brought one chunk after the other. */
import type { Fd } from '../../syscall/files.ts';
import { FileBatch, FILES_AT_ONCE } from './filebatch.ts';
import { copyFile } from './filecopy.ts';
import type { FileOptions, FileWork, Owner } from './filework.ts';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { copySizeOf, KIND_OF, kindOf, ROW_WORDS } from '../store/rows.ts';
import { judgeOf, type ContextRules, type Judge } from './rules.ts';

/** What all chunks have in common. */
export interface LaneOptions {
  /** what is judged by its content; null: everything is taken as it is */
  readonly rules: Pick<ContextRules, 'exclude' | 'include'> | null;
  readonly owner: Owner;
}

/** Files of one source. */
export interface Chunk {
  /** where they are, and what of their paths leads there */
  readonly source: Fd;
  readonly place: ByteString;
  readonly paths: readonly ByteString[];
  /** the directory that copies go to; null: they are only read */
  readonly to: Fd | null;
  /** rows of copies that are there already, one a path; empty rows, or null for none at all */
  readonly known: Uint32Array | null;
  /** what may still be copied, in `bytes` */
  readonly room: number;
}

/** Brings a chunk: its rows, one a path, as copyFile fills them. */
export type Lane = (chunk: Chunk) => Promise<Uint32Array>;

/** files up to this size are read in one go, larger ones in pieces of it; in `bytes` */
const BUFFER_BYTES = 512 * 1024;

/** A lane. Throws CONTEXT_REFUSED for what does not hold still, CANCELED, and the errors of writing as they are. */
export const laneOf = ({ rules, owner }: LaneOptions, pace: Pace): Lane => {
  const options: FileOptions = { judge: rules === null ? EVERYTHING : judgeOf(rules), owner, pace, buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES) };
  const batch = new FileBatch(options);
  return async (chunk) => {
    const words = new Uint32Array(chunk.paths.length * ROW_WORDS);
    let { room } = chunk;
    for (let start = 0; start < chunk.paths.length; start += FILES_AT_ONCE) {
      const works = chunk.paths.slice(start, start + FILES_AT_ONCE).map((path, index) => workOf(chunk, path, start + index, room));
      const rows = words.subarray(start * ROW_WORDS, (start + works.length) * ROW_WORDS);
      await batch.copy(works, rows);
      for (const [index, work] of works.entries()) {
        if (kindOf(rows, index * ROW_WORDS) === KIND_OF.unknown) await copyFile(work, rows, index * ROW_WORDS, options);
        room -= copySizeOf(rows, index * ROW_WORDS);
      }
      if (pace.due()) await pace.rest();
    }
    return words;
  };
};

/** Takes what is in a layer as it is: it was judged when it came there. */
const EVERYTHING: Judge = { byName: () => null, byContent: () => null, isIncluded: () => true };

const workOf = ({ source, place, to, known }: Chunk, path: ByteString, index: number, room: number): FileWork => {
  const row = known?.subarray(index * ROW_WORDS, (index + 1) * ROW_WORDS) ?? null;
  return { path, source, place, to, room, known: row };
};
