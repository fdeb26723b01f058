/**
 * What is known of an entry of a context, as words of 32 bits: whether it has changed is a comparison of words, and a table of many is written and
 * read as it is. The first words are the facts, taken from statx as they are; the others are what was found in it.
 */
import { Batch } from '../../syscall/batch.ts';
import { AT_EMPTY_PATH, S_IFMT } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import { MODE_BITS, SHA256_OF_NOTHING, type ManifestEntry } from '../manifest.ts';
import type { Reason } from '../context/rules.ts';

/** mode, inode (2), size (2), ctime (3), mtime (3), device (2) */
export const FACT_WORDS = 13;
/** behind the facts: kind, flags, size of the copy (2), SHA-256 (8) */
export const ROW_WORDS = 25;
const [MODE, SIZE, CTIME, MTIME, DEVICE] = [0, 3, 5, 8, 11];
const [KIND, FLAGS, COPY_SIZE, HASH] = [13, 14, 15, 17];
const HASH_WORDS = 8;
const WORD = 2 ** 32;

/** Where the facts lie in what statx tells.   man 2 statx */
const IN_STATX = [7, 8, 9, 10, 11, 24, 25, 26, 28, 29, 30, 34, 35];
export const STATX_BYTES = 256;
/** all that the facts need */
export const STATX_MASK = 0x7ff;

/** What an entry is to a snapshot. Those from SECRET on are not part of it. */
export const KIND_OF = {
  unknown: 0,
  file: 1,
  directory: 2,
  symlink: 3,
  secret: 4,
  'link out of the context': 5,
  'git configuration too large to remove credentials from': 6,
  unreadable: 7,
  'mount point': 8,
} as const;
export type Kind = (typeof KIND_OF)[keyof typeof KIND_OF];
/** Whether what is of a kind is part of a snapshot. */
export const isPartKind = (kind: Kind): boolean => kind >= KIND_OF.file && kind <= KIND_OF.symlink;
const REASONS = new Map<number, Reason>(Object.entries(KIND_OF).flatMap(([name, kind]) => (kind >= KIND_OF.secret ? [[kind, name as Reason]] : [])));

/** A flag: it had changed so shortly before it was looked at that a further change could have the same time. */
export const FRESH = 1;

/** Takes the facts of what statx told. */
export const takeFacts = (statx: Uint32Array, from: number, words: Uint32Array, at: number): void => {
  for (let index = 0; index < FACT_WORDS; index++) words[at + index] = statx[from + IN_STATX[index]!]!;
};

/** Whether two rows have the same facts. */
export const sameFacts = (a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean => {
  for (let index = 0; index < FACT_WORDS; index++) if (a[aAt + index] !== b[bAt + index]) return false;
  return true;
};

/** Whether two facts are of the same inode. */
export const sameInode = (a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean =>
  [1, 2, DEVICE, DEVICE + 1].every((word) => a[aAt + word] === b[bAt + word]);

/** Whether two rows are the same to who looks at the copy: kind, permissions, modification time and content. */
export const sameCopy = (a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean => {
  if (a[aAt + KIND] !== b[bAt + KIND] || modeOf(a, aAt) !== modeOf(b, bAt)) return false;
  for (let word = MTIME; word < MTIME + 3; word++) if (a[aAt + word] !== b[bAt + word]) return false;
  for (let word = COPY_SIZE; word < HASH + HASH_WORDS; word++) if (a[aAt + word] !== b[bAt + word]) return false;
  return true;
};

/** The facts of an open file. Throws SyscallError. */
export const statFd = (fd: Fd, words: Uint32Array, at: number): void => {
  const batch = (single ??= new Batch(1, STATX_BYTES + 8));
  batch.clear();
  const told = batch.space(STATX_BYTES);
  const call = batch.add('statx', fd, batch.at(batch.text('')), AT_EMPTY_PATH, STATX_MASK, batch.at(told));
  batch.run();
  batch.value(call, 'statx');
  takeFacts(batch.words, told >> 2, words, at);
};
let single: Batch | undefined;

/** S_IFREG, S_IFDIR, … */
export const typeOf = (words: Uint32Array, at: number): number => words[at + MODE]! & S_IFMT;
/** permission bits that a copy has: not setuid and setgid */
export const modeOf = (words: Uint32Array, at: number): number => words[at + MODE]! & MODE_BITS;
/** in `bytes`, as statx told it */
export const sizeOf = (words: Uint32Array, at: number): number => words[at + SIZE]! + words[at + SIZE + 1]! * WORD;
/** last change of anything in `ms` since 1970, rounded down */
export const ctimeMsOf = (words: Uint32Array, at: number): number =>
  (words[at + CTIME]! + (words[at + CTIME + 1]! | 0) * WORD) * 1000 + Math.floor(words[at + CTIME + 2]! / 1e6);
/** last change of the content in `ns` since 1970 */
export const mtimeNsOf = (words: Uint32Array, at: number): bigint =>
  BigInt(words[at + MTIME]! + (words[at + MTIME + 1]! | 0) * WORD) * 1_000_000_000n + BigInt(words[at + MTIME + 2]!);
/** Puts two timespecs as utimensat takes them, 32 bytes: the last change of the content as both times. */
export const putTimes = (words: Uint32Array, at: number, to: Uint32Array, toAt: number): void => {
  for (const start of [toAt, toAt + 4]) {
    for (let word = 0; word < 3; word++) to[start + word] = words[at + MTIME + word]!;
    to[start + 3] = 0;
  }
};

export const kindOf = (words: Uint32Array, at: number): Kind => words[at + KIND]! as Kind;
/** Why an entry is not part of the snapshot; null for one that is. */
export const reasonOf = (words: Uint32Array, at: number): Reason | null => REASONS.get(words[at + KIND]!) ?? null;
export const flagsOf = (words: Uint32Array, at: number): number => words[at + FLAGS]!;
export const setFlags = (words: Uint32Array, at: number, flags: number): void => void (words[at + FLAGS] = flags);
/** size of the copy's content in `bytes` */
export const copySizeOf = (words: Uint32Array, at: number): number => words[at + COPY_SIZE]! + words[at + COPY_SIZE + 1]! * WORD;

/** Says what an entry is and what it holds. `sha256`: 32 characters, one a byte; empty for what has no content. */
export const setFound = (words: Uint32Array, at: number, kind: Kind, size: number, sha256: string): void => {
  words[at + KIND] = kind;
  words[at + FLAGS] = 0;
  words[at + COPY_SIZE] = size;
  words[at + COPY_SIZE + 1] = Math.floor(size / WORD);
  const hash = bytesIn(words, at + HASH, HASH_WORDS);
  if (sha256 === '') hash.fill(0);
  else hash.write(sha256, 'latin1');
};

/** SHA-256 of the content in hex; zeros for a directory. */
export const sha256Of = (words: Uint32Array, at: number): string => bytesIn(words, at + HASH, HASH_WORDS).toString('hex');

/** The row as an entry of a manifest; null for what is not part of the snapshot. */
export const manifestEntryOf = (words: Uint32Array, at: number): ManifestEntry | null => {
  const shared = { mode: modeOf(words, at), mtimeNs: mtimeNsOf(words, at), size: copySizeOf(words, at) };
  const kind = kindOf(words, at);
  if (kind === KIND_OF.directory) return { type: 'directory', ...shared, sha256: SHA256_OF_NOTHING };
  if (kind === KIND_OF.file) return { type: 'file', ...shared, sha256: sha256Of(words, at) };
  return kind === KIND_OF.symlink ? { type: 'symlink', ...shared, sha256: sha256Of(words, at) } : null;
};

const bytesIn = (words: Uint32Array, at: number, length: number): Buffer => Buffer.from(words.buffer, words.byteOffset + at * 4, length * 4);

/** Rows that become more. */
export class Rows {
  /** replaced when it becomes too small: not to be kept */
  words = new Uint32Array(ROW_WORDS * 1024);
  #used = 0;

  /** Offset of one more row, empty. */
  add(): number {
    const at = this.#used;
    this.#used += ROW_WORDS;
    if (this.#used > this.words.length) {
      const more = new Uint32Array(this.words.length * 2);
      more.set(this.words);
      this.words = more;
    }
    return at;
  }
}
