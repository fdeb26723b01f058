/**
 * Small files of a context that hold still, many at a time: each step of filecopy.ts is made for all of them in one go. What is in any way unusual
 * is passed over, and left to filecopy.ts.
 */
import { Batch, type BatchedCall } from '../../syscall/batch.ts';
import { SyscallError } from '../../syscall/call.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFREG,
} from '../../syscall/constants.ts';
import { pathOf, type Fd } from '../../syscall/files.ts';
import { pathInSource } from './entry.ts';
import { isGitConfig } from './gitconfig.ts';
import { judgeWhole, TICK_MS, type FileOptions, type FileWork } from './filework.ts';
import { ctimeMsOf, modeOf, putTimes, ROW_WORDS, sameFacts, sizeOf, STATX_BYTES, STATX_MASK, takeFacts, typeOf } from '../store/rows.ts';

/** files that are worked on at once */
export const FILES_AT_ONCE = 32;
/** largest file that is small, in `bytes` */
const SMALL_BYTES = 64 * 1024;
/** most calls that one step makes for a file */
const MOST_STEPS = 4;
/** what a file takes besides its content: its path twice, what statx tells twice, times, and what aligns them */
const PATH_BYTES = 4104;
const ROOM = SMALL_BYTES + 2 * PATH_BYTES + 2 * STATX_BYTES + 64;
/** struct open_how   man 2 openat2 */
const HOW_BYTES = 24;
const BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

/** A file that is being worked on. */
interface InWork {
  readonly work: FileWork;
  /** offset of its row */
  readonly at: number;
  /** its name without opening it, then opened for reading, then its copy; -1 for none */
  looked: Fd;
  read: Fd;
  written: Fd;
  /** offsets: what statx told, its content, and how much of that it is */
  told: number;
  content: number;
  length: number;
}

export class FileBatch {
  readonly #batch = new Batch(FILES_AT_ONCE * MOST_STEPS, FILES_AT_ONCE * ROOM + HOW_BYTES + 64);
  readonly #options: FileOptions;
  /** `''`, and how a name is looked at */
  #nothing = 0;
  #how = 0;

  constructor(options: FileOptions) {
    this.#options = options;
  }

  /**
   * Brings those of up to FILES_AT_ONCE files that it can, and fills their rows, which follow each other in `words`: as copyFile does. The row of a file
   * that was passed over is empty. Throws SyscallError when a copy cannot be written.
   */
  async copy(files: readonly FileWork[], words: Uint32Array): Promise<void> {
    this.#begin();
    const all = files.map((work, index): InWork => ({ work, at: index * ROW_WORDS, looked: -1, read: -1, written: -1, told: 0, content: 0, length: 0 }));
    try {
      const small = this.#lookAtAll(all, words);
      const held = this.#readAll(small, words);
      await this.#writeAll(held, words);
    } catch (error) {
      this.#closeAll(all);
      throw error;
    }
    this.#closeAll(all);
  }

  #begin(): void {
    const batch = this.#batch;
    batch.clear();
    this.#nothing = batch.text('');
    this.#how = batch.space(HOW_BYTES);
    batch.bytes.writeBigUInt64LE(BigInt(O_PATH | O_NOFOLLOW | O_CLOEXEC), this.#how);
    batch.bytes.writeBigUInt64LE(0n, this.#how + 8);
    batch.bytes.writeBigUInt64LE(BigInt(BENEATH), this.#how + 16);
  }

  // Small regular files that have not changed just now and need no cleaning; their facts are in their rows.
  #lookAtAll(all: readonly InWork[], words: Uint32Array): InWork[] {
    const batch = this.#batch;
    for (const file of all) {
      const path = batch.text(pathInSource(file.work.path, file.work));
      file.told = batch.space(STATX_BYTES);
      batch.add('openat2', file.work.source, batch.at(path), batch.at(this.#how), HOW_BYTES);
      batch.addOnResult('statx', batch.at(this.#nothing), AT_EMPTY_PATH, STATX_MASK, batch.at(file.told));
    }
    batch.run();
    for (const [index, file] of all.entries()) file.looked = Math.max(-1, batch.result(2 * index));
    const now = Date.now();
    return all.filter((file, index) => {
      if (batch.result(2 * index + 1) < 0) return false;
      takeFacts(batch.words, file.told >> 2, words, file.at);
      const size = sizeOf(words, file.at);
      const isFresh = Math.abs(now - ctimeMsOf(words, file.at)) < TICK_MS;
      const isSmall = typeOf(words, file.at) === S_IFREG && size <= SMALL_BYTES && size <= file.work.room;
      return isSmall && !isFresh && !isGitConfig(file.work.path);
    });
  }

  // Those that were read in full and are still as they were.
  #readAll(small: readonly InWork[], words: Uint32Array): InWork[] {
    const batch = this.#batch;
    for (const file of small) {
      file.length = sizeOf(words, file.at);
      file.content = batch.space(file.length);
      batch.add('openat', AT_FDCWD, batch.at(batch.text(pathOf(file.looked))), O_RDONLY | O_CLOEXEC);
      batch.addOnResult('read', batch.at(file.content), file.length);
      batch.add('statx', file.looked, batch.at(this.#nothing), AT_EMPTY_PATH, STATX_MASK, batch.at(file.told));
    }
    batch.run();
    for (const [index, file] of small.entries()) file.read = Math.max(-1, batch.result(3 * index));
    return small.filter((file, index) => {
      const isRead = file.read >= 0 && batch.result(3 * index + 1) === file.length && batch.result(3 * index + 2) === 0;
      takeFacts(batch.words, file.told >> 2, this.#after, 0);
      return isRead && sameFacts(this.#after, 0, words, file.at);
    });
  }
  readonly #after = new Uint32Array(ROW_WORDS);

  async #writeAll(held: readonly InWork[], words: Uint32Array): Promise<void> {
    const batch = this.#batch;
    const { judge, owner } = this.#options;
    const contentOf = (file: InWork): Buffer => batch.bytes.subarray(file.content, file.content + file.length);
    const kept = held.filter((file) => judgeWhole(file.work, contentOf(file), judge, words, file.at) !== null);
    for (const { work, content, length } of kept) {
      batch.add('openat', work.to!, batch.at(batch.text(work.path)), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600);
      batch.addOnResult('write', batch.at(content), length);
    }
    // Most of the time of a copy: the file system makes the new files while others are looked at and judged.
    if (kept.length > 0) await batch.runAside();
    for (const [index, file] of kept.entries()) file.written = Math.max(-1, batch.result(2 * index));
    for (const [index, file] of kept.entries()) {
      batch.value(2 * index, 'openat');
      if (batch.value(2 * index + 1, 'write') < file.length) throw new SyscallError('write', ENOSPC);
    }
    const steps: readonly BatchedCall[] = owner === null ? ['fchmod', 'utimensat'] : ['fchown', 'fchmod', 'utimensat'];
    for (const { at, written } of kept) {
      const times = batch.space(32);
      putTimes(words, at, batch.words, times >> 2);
      if (owner !== null) batch.add('fchown', written, owner.uid, owner.gid);
      batch.add('fchmod', written, modeOf(words, at));
      batch.add('utimensat', written, 0, batch.at(times));
    }
    batch.run();
    for (let call = 0; call < kept.length * steps.length; call++) batch.value(call, steps[call % steps.length]!);
  }

  #closeAll(all: readonly InWork[]): void {
    const open = all.flatMap(({ looked, read, written }) => [looked, read, written]).filter((fd) => fd >= 0);
    for (const fd of open) this.#batch.add('close', fd);
    this.#batch.run();
  }
}

const ENOSPC = 28;
