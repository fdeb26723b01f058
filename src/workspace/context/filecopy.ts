/** One file of a context: looked at before it is opened, read until it holds still, judged by what it holds, and only then kept. */
import { createHash } from 'node:crypto';
import { closeSync, fchmodSync, fchownSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { call, hasCode } from '../../syscall/call.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, S_IFREG } from '../../syscall/constants.ts';
import { pathOf, setTimes, type Fd } from '../../syscall/files.ts';
import { keepsChanging, pathInSource } from './entry.ts';
import { judgeWhole, TICK_MS, type FileOptions, type FileWork, type Owner } from './filework.ts';
import { openBeneath } from '../folders.ts';
import { isGitConfig } from './gitconfig.ts';
import { bytesBelow, bytesOf, type ByteString } from '../names.ts';
import { ctimeMsOf, KIND_OF, modeOf, mtimeNsOf, ROW_WORDS, sameCopy, sameFacts, setFound, sizeOf, statFd, typeOf, type Kind } from '../store/rows.ts';

const TRIES = 8;
/** man 2 ioctl_ficlone */
const FICLONE = 0x40049409;

/**
 * Brings a file and fills its row, at an offset of `words`: what kind it is (`unknown` for one that is gone), its facts, and what it holds.
 * Throws CONTEXT_REFUSED when it never holds still, CANCELED, and the errors of writing as they are.
 */
export const copyFile = async (work: FileWork, words: Uint32Array, at: number, options: FileOptions): Promise<void> => {
  for (let tries = 1; tries <= TRIES; tries++) {
    words.fill(0, at, at + ROW_WORDS);
    const looked = look(work);
    if (looked.fd === null) return setFound(words, at, looked.kind, 0, '');
    try {
      statFd(looked.fd, words, at);
      if (typeOf(words, at) !== S_IFREG || sizeOf(words, at) > work.room) throw keepsChanging(work.path);
      const isFresh = tries === 1 && Math.abs(Date.now() - ctimeMsOf(words, at)) < TICK_MS;
      if (!isFresh && (await copyOnce(work, looked.fd, words, at, options))) return;
    } finally {
      closeSync(looked.fd);
    }
    await setTimeout(tries * TICK_MS);
    options.pace.check();
  }
  throw keepsChanging(work.path);
};

// A name without opening what it is: a FIFO has no reader, a device no user for it.
const look = ({ path, source, place }: FileWork): { fd: Fd } | { fd: null; kind: Kind } => {
  try {
    return { fd: openBeneath(source, pathInSource(path, { place }), O_PATH) };
  } catch (error) {
    if (hasCode(error, 'ELOOP', 'ENOTDIR')) throw keepsChanging(path);
    if (hasCode(error, 'EXDEV')) return { fd: null, kind: KIND_OF['mount point'] };
    if (hasCode(error, 'EACCES')) return { fd: null, kind: KIND_OF.unreadable };
    if (hasCode(error, 'ENOENT')) return { fd: null, kind: KIND_OF.unknown };
    throw error;
  }
};

// False: it has changed meanwhile.
const copyOnce = async (work: FileWork, looked: Fd, words: Uint32Array, at: number, options: FileOptions): Promise<boolean> => {
  let from: Fd;
  try {
    from = openSync(pathOf(looked), O_RDONLY);
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
    setFound(words, at, KIND_OF.unreadable, 0, '');
    return true;
  }
  try {
    if (sizeOf(words, at) <= options.buffer.length) return copyWhole(work, looked, from, words, at, options);
    return await copyInPieces(work, looked, from, words, at, options);
  } finally {
    closeSync(from);
  }
};

const copyWhole = (work: FileWork, looked: Fd, from: Fd, words: Uint32Array, at: number, { judge, owner, buffer }: FileOptions): boolean => {
  const wanted = sizeOf(words, at);
  let size = 0;
  for (let got = 1; got > 0 && size < wanted; size += got) got = readSync(from, buffer, size, wanted - size, size);
  if (size < wanted || !isUnchanged(looked, words, at)) return false;
  const content = judgeWhole(work, buffer.subarray(0, size), judge, words, at);
  if (content === null) return true;
  const fd = create(work.to!, work.path);
  try {
    for (let done = 0; done < content.length;) done += writeSync(fd, content, done);
    finish(fd, work.to!, work.path, words, at, owner);
  } finally {
    closeSync(fd);
  }
  return true;
};

// A clone holds still while it is read, and takes no space of its own: most file systems have none, and then the pieces are written as they are read.
const copyInPieces = async (work: FileWork, looked: Fd, from: Fd, words: Uint32Array, at: number, options: FileOptions): Promise<boolean> => {
  const { path, to, known } = work;
  const { judge, owner, pace, buffer } = options;
  const leaveOut = (kind: Kind): true => (setFound(words, at, kind, 0, ''), true);
  if (isGitConfig(path) && !judge.isIncluded(path)) return leaveOut(KIND_OF['git configuration too large to remove credentials from']);
  const digest = createHash('sha256');
  const wanted = sizeOf(words, at);
  const fd = to === null ? null : create(to, path);
  let isKept = false;
  try {
    const isCloned = fd !== null && clone(from, fd);
    const readable = isCloned ? fd : from;
    let size = 0;
    for (;;) {
      const got = readSync(readable, buffer, 0, Math.min(buffer.length, wanted - size), size);
      if (size === 0 && judge.byContent(path, buffer.subarray(0, got)) !== null) return leaveOut(KIND_OF.secret);
      if (got === 0) break;
      for (let done = 0; fd !== null && !isCloned && done < got;) done += writeSync(fd, buffer, done, got - done, size + done);
      digest.update(buffer.subarray(0, got));
      size += got;
      if (pace.due()) await pace.rest();
      pace.check();
    }
    if (size < wanted || !isUnchanged(looked, words, at)) return false;
    setFound(words, at, KIND_OF.file, size, digest.digest('binary'));
    if (fd === null || (known !== null && sameCopy(known, 0, words, at))) return true;
    finish(fd, to!, path, words, at, owner);
    return (isKept = true);
  } finally {
    if (fd !== null) closeSync(fd);
    if (fd !== null && !isKept) unlinkSync(bytesBelow(to!, path));
  }
};

const clone = (from: Fd, to: Fd): boolean => {
  try {
    call('ioctl_int', to, FICLONE, from);
    return true;
  } catch {
    return false;
  }
};

const isUnchanged = (looked: Fd, words: Uint32Array, at: number): boolean => {
  const now = new Uint32Array(ROW_WORDS);
  statFd(looked, now, 0);
  return sameFacts(now, 0, words, at);
};

// No link is followed: the directories are ours, and nobody else writes there.
const create = (to: Fd, path: ByteString): Fd => openSync(bytesBelow(to, path), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);

const finish = (fd: Fd, to: Fd, path: ByteString, words: Uint32Array, at: number, owner: Owner): void => {
  if (owner !== null) fchownSync(fd, owner.uid, owner.gid);
  fchmodSync(fd, modeOf(words, at));
  const mtimeNs = mtimeNsOf(words, at);
  setTimes(to, bytesOf(path), mtimeNs, mtimeNs);
};
