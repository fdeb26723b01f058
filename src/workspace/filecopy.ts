/** One file of a context: looked at before it is opened, read until it holds still, judged by what it holds, and only then written. */
import { createHash, hash } from 'node:crypto';
import { closeSync, fchmodSync, fchownSync, fstatSync, openSync, read, readSync, unlinkSync, write, writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { hasCode } from '../syscall/call.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY } from '../syscall/constants.ts';
import { pathOf, setTimes, withFd, type Fd } from '../syscall/files.ts';
import { factsOf, keepsChanging, pathInSource, type Entry, type Facts } from './entry.ts';
import { openBeneath, type OpenFolder } from './folders.ts';
import { cleanGitConfig, isGitConfig } from './gitconfig.ts';
import { bytesBelow, bytesOf, splitName } from './names.ts';
import type { Pace } from './pace.ts';
import type { Judge, Reason } from './rules.ts';

/** Who owns what is copied; null leaves it to whoever copies. */
export type Owner = { readonly uid: number; readonly gid: number } | null;

export interface FileOptions {
  readonly judge: Judge;
  readonly owner: Owner;
  readonly pace: Pace;
  /** place for reading; a file that fits is read, judged and written in one go */
  readonly buffer: Buffer;
  /** what may still be copied, in `bytes`: a file that has grown beyond it since the scan is not begun */
  readonly room: number;
}

/** What was written. */
export interface CopiedFile {
  /** size in `bytes` */
  readonly size: number;
  /** SHA-256 of the content, in hex */
  readonly sha256: string;
  /** permission bits */
  readonly mode: number;
}

/** A file that was copied, that was left out for a reason that its name did not show, or that is gone. */
export type FileResult = CopiedFile | Reason | 'gone';

const TRIES = 8;
/**
 * More than the kernel's tick, in `ms`: times of a file are as coarse, so a younger change cannot be told from the next one. A file that
 * changes is waited for as long, each time longer by as much.
 */
const TICK_MS = 20;

/** Copies a file to the directory `to`. Throws CONTEXT_REFUSED when it never holds still, and CANCELED. `from`: the open directory of its source. */
export const copyFile = async (entry: Entry, from: OpenFolder, to: Fd, options: FileOptions): Promise<FileResult> => {
  for (let tries = 1; tries <= TRIES; tries++) {
    const looked = look(entry, from);
    if (typeof looked === 'string') return looked;
    try {
      const stats = fstatSync(looked, { bigint: true });
      const before = factsOf(stats);
      if (!stats.isFile() || before.size > options.room) throw keepsChanging(entry.path);
      const isFresh = tries === 1 && Math.abs(Date.now() - Number(stats.ctimeMs)) < TICK_MS;
      const result = isFresh ? 'changed' : await copyOnce({ entry, looked, before, to }, options);
      if (result !== 'changed') return result;
    } finally {
      closeSync(looked);
    }
    await setTimeout(tries * TICK_MS);
    options.pace.check();
  }
  throw keepsChanging(entry.path);
};

// A name without opening what it is: a FIFO has no reader, a device no user for it.
const look = ({ path, source }: Entry, from: OpenFolder): Fd | Reason | 'gone' => {
  const { folder, name } = splitName(path);
  try {
    return openBeneath(from.at(source.fd, pathInSource(folder, source)), name, O_PATH);
  } catch (error) {
    if (hasCode(error, 'ELOOP', 'ENOTDIR')) throw keepsChanging(path);
    if (hasCode(error, 'EXDEV')) return 'mount point';
    if (hasCode(error, 'EACCES')) return 'unreadable';
    if (hasCode(error, 'ENOENT')) return 'gone';
    throw error;
  }
};

interface Work {
  readonly entry: Entry;
  readonly looked: Fd;
  readonly before: Facts;
  readonly to: Fd;
}

const copyOnce = async (work: Work, options: FileOptions): Promise<CopiedFile | Reason | 'changed'> => {
  let from: Fd;
  try {
    from = openSync(pathOf(work.looked), O_RDONLY);
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM')) return 'unreadable';
    throw error;
  }
  try {
    return work.before.size <= options.buffer.length ? copyWhole(work, from, options) : await copyInPieces(work, from, options);
  } finally {
    closeSync(from);
  }
};

const copyWhole = ({ entry, looked, before, to }: Work, from: Fd, { judge, owner, buffer }: FileOptions): CopiedFile | Reason | 'changed' => {
  let size = 0;
  for (let got = 1; got > 0 && size < before.size; size += got) got = readSync(from, buffer, size, before.size - size, size);
  if (!isUnchanged(before, looked, size)) return 'changed';
  const found = buffer.subarray(0, size);
  const reason = judge.byContent(entry.path, found);
  if (reason !== null) return reason;
  const isCleaned = isGitConfig(entry.path) && !judge.isIncluded(entry.path);
  const content = isCleaned ? cleanGitConfig(found, { isMoved: entry.source.place !== '' }) : found;
  withFd(create(entry, to), (fd) => {
    for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    finish(fd, to, entry, before, owner);
  });
  return { size: content.length, sha256: hash('sha256', content), mode: before.mode };
};

// Read and written on other threads: a disk may take its time for each piece.
const copyInPieces = async ({ entry, looked, before, to }: Work, from: Fd, options: FileOptions): Promise<CopiedFile | Reason | 'changed'> => {
  const { judge, owner, pace, buffer } = options;
  if (isGitConfig(entry.path) && !judge.isIncluded(entry.path)) return 'git configuration too large to remove credentials from';
  const digest = createHash('sha256');
  const fd = create(entry, to);
  try {
    let size = 0;
    for (;;) {
      const { bytesRead } = await readPiece(from, buffer, 0, Math.min(buffer.length, before.size - size), size);
      const piece = buffer.subarray(0, bytesRead);
      const reason = size === 0 ? judge.byContent(entry.path, piece) : null;
      if (reason !== null) return remove(entry, to, reason);
      if (bytesRead === 0) break;
      for (let at = 0; at < bytesRead;) at += (await writePiece(fd, piece, at, bytesRead - at, size + at)).bytesWritten;
      digest.update(piece);
      size += bytesRead;
      if (pace.due()) await pace.rest();
      pace.check();
    }
    if (!isUnchanged(before, looked, size)) return remove(entry, to, 'changed');
    finish(fd, to, entry, before, owner);
    return { size, sha256: digest.digest('hex'), mode: before.mode };
  } finally {
    closeSync(fd);
  }
};

const readPiece = promisify(read);
const writePiece = promisify(write);

const isUnchanged = (before: Facts, looked: Fd, size: number): boolean => {
  const after = factsOf(fstatSync(looked, { bigint: true }));
  return after.size === size && after.size === before.size && after.mtimeNs === before.mtimeNs && after.ctimeNs === before.ctimeNs;
};

const create = ({ path }: Entry, to: Fd): Fd => openSync(bytesBelow(to, splitName(path).name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);

const remove = <T>({ path }: Entry, to: Fd, result: T): T => {
  unlinkSync(bytesBelow(to, splitName(path).name));
  return result;
};

const finish = (fd: Fd, to: Fd, { path }: Entry, facts: Facts, owner: Owner): void => {
  if (owner !== null) fchownSync(fd, owner.uid, owner.gid);
  fchmodSync(fd, facts.mode);
  setTimes(to, bytesOf(splitName(path).name), facts.mtimeNs, facts.mtimeNs);
};
