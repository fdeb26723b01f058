/** One stream of one command as a file: its first and its last 8 MiB, and between them a line that says how much is left out. Used by the drainer's thread. */
import { closeSync, existsSync, fchmodSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { hasCode } from '../syscall/call.ts';
import type { Fd } from '../syscall/files.ts';
import { copyRange, moveFromPipe } from '../syscall/splice.ts';

const MIB = 1024 * 1024;
/** What is kept of the beginning and of the end. */
export const KEPT = 8 * MIB;
/** What may be there beyond that while the command writes, so that the file is not made anew for every byte. */
const SLACK = 16 * MIB;
/** Most that is moved in one go, so that streams take turns. */
const CHUNK = MIB;
/** Most that one `drain` moves: a command that writes for ever does not keep its reader waiting. */
const DRAIN_MOST = 4 * MIB;
/** How far a stream that is followed may be ahead of its follower, so that nothing is left out before it was read. */
const AHEAD = 8 * MIB;

/** A descriptor on the file as it was at one moment, and how positions in the stream map to positions in the file. The receiver closes it. */
export interface Snapshot {
  readonly fd: Fd;
  /** all that was ever written to the stream */
  readonly total: number;
  /** positions below this lie at their own offset in the file */
  readonly headEnd: number;
  /** positions from here on lie as far from `fileSize` as from `total` */
  readonly tailStart: number;
  readonly fileSize: number;
}

/** A pipe, the master of a pseudo-terminal (whose end is an error, and which splice does not take), or nothing at all: a stream that is empty for ever. */
export type SourceKind = 'pipe' | 'terminal' | 'none';

export class Spool {
  readonly source: Fd;
  readonly #kind: SourceKind;
  readonly #path: string;
  #file: Fd | null;
  #fileSize = 0;
  /** length of the line between head and tail; 0 while nothing is left out */
  #gapLine = 0;
  #omitted = 0;
  /** bytes that were counted and not kept; once there are any, nothing is kept any more */
  #lost = 0;
  #ended = false;
  /** position up to which a follower has read; null while nobody follows */
  #followed: number | null = null;

  /** Makes the file. The source stays its owner's to close, also when it has come to its end. */
  constructor(source: Fd, kind: SourceKind, path: string) {
    this.source = source;
    this.#kind = kind;
    this.#path = path;
    this.#file = create(path);
    if (kind === 'none') this.#end();
  }

  /** whether the source has come to its end: nobody can write to it any more */
  get ended(): boolean {
    return this.#ended;
  }

  /** whether the command has to wait for its follower */
  get isAhead(): boolean {
    return this.#followed !== null && this.total - this.#followed > AHEAD;
  }

  get total(): number {
    return this.#fileSize - this.#gapLine + this.#omitted + this.#lost;
  }

  /** Says that somebody reads everything, and how far. */
  follow(position: number): void {
    this.#followed = position;
  }

  /** Moves one chunk. False when the source was empty. */
  pump(): boolean {
    const moved = this.#move();
    if (moved === 0) this.#end();
    if (this.#fileSize >= 2 * KEPT + this.#gapLine + SLACK) this.compact();
    return moved !== null && moved > 0;
  }

  /** Moves what is there. */
  drain(): void {
    const most = this.total + DRAIN_MOST;
    while (!this.#ended && this.total < most && this.pump());
  }

  /** Leaves out what lies between the first and the last 8 MiB. The new file takes the old one's place at once; who reads the old one goes on reading it. */
  compact(): void {
    const tail = this.#fileSize - KEPT - this.#gapLine;
    if (this.#file === null || tail <= KEPT || this.isAhead) return;
    this.#omitted += tail - KEPT;
    const next = create(`${this.#path}.next`);
    copyRange(this.#file, 0, next, 0, KEPT);
    const line = Buffer.from(`${endsLine(next, KEPT) ? '' : '\n'}… ${this.#omitted} bytes omitted …\n`);
    writeSync(next, line, 0, line.length, KEPT);
    copyRange(this.#file, this.#fileSize - KEPT, next, KEPT + line.length, KEPT);
    renameSync(`${this.#path}.next`, this.#path);
    closeSync(this.#file);
    this.#file = next;
    this.#gapLine = line.length;
    this.#fileSize = 2 * KEPT + line.length;
  }

  snapshot(): Snapshot {
    const { total } = this;
    const stored = this.#fileSize - this.#gapLine;
    const head = this.#gapLine === 0 ? stored : KEPT;
    const tail = this.#lost > 0 ? 0 : stored - head;
    const path = this.#file === null ? this.#path : `/proc/self/fd/${this.#file}`;
    return { fd: openSync(existsSync(path) ? path : '/dev/null', 'r'), total, headEnd: head, tailStart: total - tail, fileSize: this.#fileSize };
  }

  /** Closes the file; it stays where it is. */
  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #move(): number | null {
    if (this.#lost > 0 || this.#file === null) return this.#discard();
    try {
      const moved = this.#kind === 'pipe' ? moveFromPipe(this.source, this.#file, this.#fileSize, CHUNK) : this.#copyFromTerminal(this.#file);
      this.#fileSize += moved ?? 0;
      return moved;
    } catch (error) {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) throw error;
      return this.#discard();
    }
  }

  // man 4 tty_ioctl: the master reads EIO once the last slave is closed.
  #copyFromTerminal(file: Fd): number | null {
    const bytes = Buffer.allocUnsafe(64 * 1024);
    try {
      const read = readSync(this.source, bytes);
      return writeSync(file, bytes, 0, read, this.#fileSize);
    } catch (error) {
      if (hasCode(error, 'EAGAIN')) return null;
      if (hasCode(error, 'EIO')) return 0;
      throw error;
    }
  }

  // The host's disk is full: the command goes on all the same, and what it writes from now on is counted, not kept.
  #discard(): number | null {
    try {
      const read = readSync(this.source, Buffer.allocUnsafe(64 * 1024));
      this.#lost += read;
      return read;
    } catch (error) {
      if (hasCode(error, 'EAGAIN')) return null;
      if (hasCode(error, 'EIO')) return 0;
      throw error;
    }
  }

  #end(): void {
    this.#followed = null;
    this.compact();
    this.#ended = true;
    this.close();
  }
}

const create = (path: string): Fd => {
  const fd = openSync(path, 'w+', 0o644);
  fchmodSync(fd, 0o644); // whatever the umask: the program inside reads it too
  return fd;
};

const endsLine = (fd: Fd, length: number): boolean => {
  const last = Buffer.alloc(1);
  readSync(fd, last, 0, 1, length - 1);
  return last[0] === 0x0a;
};
