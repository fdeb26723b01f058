/** One step of an apply, or of taking it back, in the context's directory on the host: atomic, beneath that directory, through no link, and only over what is expected there. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { hasCode } from '../../syscall/call.ts';
import { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY } from '../../syscall/constants.ts';
import { pathOf, setTimes, withFd, type Fd } from '../../syscall/files.ts';
import { openBeneath } from '../folders.ts';
import { copyContent, isStill, lookIn, type HostEntry } from './hostentry.ts';
import type { Journal, Side } from './journal.ts';
import { bytesBelow, bytesOf, splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import type { State, Step } from './transitions.ts';

/** Something else is at a place than was expected. */
export class Displaced extends Error {
  override readonly name = 'Displaced';
}

export interface HostWriterOptions {
  readonly context: Fd;
  readonly journal: Journal;
  /** where the contents come from */
  readonly side: Side;
  readonly pace: Pace;
}

const isRoot = process.getuid!() === 0;
const syncFile = promisify(fsync);

/** Does a step, where `expected` is there. Throws Displaced, and what the kernel says; then what is there is what was there. */
export const perform = async (step: Step, expected: HostEntry | null, options: HostWriterOptions): Promise<void> => {
  const { folder, name } = splitName(step.transition.path);
  const directory = openFolder(options.context, folder);
  try {
    demand(directory, name, expected);
    if (step.action === 'remove') remove(directory, name, step, expected);
    else await put(directory, name, step, expected, options);
  } finally {
    closeSync(directory);
  }
};

const openFolder = (context: Fd, folder: ByteString): Fd => {
  try {
    return openBeneath(context, folder, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EAGAIN')) throw new Displaced('a directory is gone, or another', { cause: error });
    throw error;
  }
};

const demand = (directory: Fd, name: ByteString, expected: HostEntry | null): void => {
  if (!isStill(expected, lookIn(directory, name))) throw new Displaced('it is not what was expected there');
};

const remove = (directory: Fd, name: ByteString, { transition }: Step, expected: HostEntry | null): void => {
  if (expected?.type !== 'directory') return unlinkSync(bytesBelow(directory, name));
  try {
    rmdirSync(bytesBelow(directory, name));
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    if (transition.isOptional !== true) throw new Displaced('a directory is not empty', { cause: error });
  }
};

const put = async (directory: Fd, name: ByteString, step: Step, expected: HostEntry | null, options: HostWriterOptions): Promise<void> => {
  const { from, to } = step.transition;
  if (to === null) return;
  if (to.type === 'symlink') return putLink(directory, name, step, to, expected, options);
  if (expected !== null && from?.type === to.type && (to.type === 'directory' || from.sha256 === to.sha256)) return changeMode(directory, name, to, expected);
  if (to.type === 'file') return putFile(directory, name, step, to, expected, options);
  mkdirSync(bytesBelow(directory, name), 0o700);
  changeMode(directory, name, to, null);
};

// Through the descriptor that was looked at: the name may lead elsewhere by now.
const changeMode = (directory: Fd, name: ByteString, to: State, expected: HostEntry | null): void =>
  withFd(openBeneath(directory, name, O_PATH), (fd) => {
    if (expected !== null) demand(directory, name, expected);
    if (!(to.type === 'directory' ? fstatSync(fd).isDirectory() : fstatSync(fd).isFile())) throw new Displaced('it has become something else');
    if (expected === null) give(ownerOf(directory, to, null), (uid, gid) => chownSync(pathOf(fd), uid, gid));
    chmodSync(pathOf(fd), to.mode);
  });

const putFile = async (directory: Fd, name: ByteString, step: Step, to: State, expected: HostEntry | null, options: HostWriterOptions): Promise<void> => {
  const { journal, side, pace } = options;
  const temporary = temporaryName(journal.id, step.index);
  const fd = openSync(bytesBelow(directory, temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    const content = journal.open(side, step.index);
    try {
      await copyContent(content, fd, pace);
    } finally {
      closeSync(content);
    }
    give(ownerOf(directory, to, expected), (uid, gid) => fchownSync(fd, uid, gid));
    fchmodSync(fd, to.mode & 0o777);
    restoreTime(directory, temporary, to);
    await syncFile(fd);
    demand(directory, name, expected);
    replace(directory, temporary, name, expected);
  } catch (error) {
    discard(directory, temporary);
    throw error;
  } finally {
    closeSync(fd);
  }
};

const putLink = (directory: Fd, name: ByteString, step: Step, to: State, expected: HostEntry | null, { journal, side }: HostWriterOptions): void => {
  const temporary = temporaryName(journal.id, step.index);
  const target = withFd(journal.open(side, step.index), (fd) => readFileSync(fd));
  symlinkSync(target, bytesBelow(directory, temporary));
  try {
    give(ownerOf(directory, to, expected), (uid, gid) => lchownSync(bytesBelow(directory, temporary), uid, gid));
    restoreTime(directory, temporary, to);
    replace(directory, temporary, name, expected);
  } catch (error) {
    discard(directory, temporary);
    throw error;
  }
};

/** The name under which a file is written before it takes its place. */
export const temporaryName = (id: string, index: number): ByteString => `.cellwall-${id}-${index}`;

const discard = (directory: Fd, name: ByteString): void => {
  try {
    unlinkSync(bytesBelow(directory, name));
  } catch {
    // it has taken its place, or cannot be removed: then its directory is gone
  }
};

// Where nothing is expected a name is only taken when it is free; where links to files are not known there is only rename.
const replace = (directory: Fd, temporary: ByteString, name: ByteString, expected: HostEntry | null): void => {
  const [from, to] = [bytesBelow(directory, temporary), bytesBelow(directory, name)];
  if (expected !== null) return renameSync(from, to);
  try {
    linkSync(from, to);
    unlinkSync(from);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw new Displaced('something has appeared there', { cause: error });
    if (!hasCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK')) throw error;
    demand(directory, name, expected);
    renameSync(from, to);
  }
};

const restoreTime = (directory: Fd, name: ByteString, { mtimeNs }: State): void => {
  if (mtimeNs !== undefined) setTimes(directory, bytesOf(name), BigInt(mtimeNs), BigInt(mtimeNs));
};

// Whose a file was; one that is new is whose its directory is. Only root can give one away.
const ownerOf = (directory: Fd, to: State, expected: HostEntry | null): { uid: number; gid: number } => {
  const { uid, gid } = to.owner ?? expected?.owner ?? fstatSync(directory);
  return { uid, gid };
};

const give = ({ uid, gid }: { uid: number; gid: number }, chown: (uid: number, gid: number) => void): void => {
  if (isRoot) chown(uid, gid);
};
