/**
 * Where in the tree of a sandbox a file is to be written: its directory as a descriptor, its name in it. Links are followed as a program inside would follow
 * them; directories that are missing are made, and belong to `agent` before anything is put into them.
 */
import { chownSync, closeSync, fstatSync, lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { hasCode } from '../../syscall/call.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS } from '../../syscall/constants.ts';
import { openat2, openInRoot, type Fd } from '../../syscall/files.ts';
import { bytesBelow, bytesOf, type ByteString } from '../names.ts';

/** Who `agent` is on the host. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface Place {
  /** the directory, which the caller closes */
  readonly directory: Fd;
  readonly name: ByteString;
  /** what is there now, null for nothing; never a link */
  readonly stats: Stats | null;
}

/** As many links as the kernel follows on one path.   man 7 path_resolution */
const MOST_LINKS = 40;

/** Finds or makes the place of an absolute path. Throws SyscallError and errors of node:fs: EROFS, ENOSPC, ELOOP, ENOTDIR, EISDIR for the root itself. */
export const makePlace = (root: Fd, path: ByteString, owner: Owner): Place => {
  let at = posix.normalize(path);
  for (let links = 0; links <= MOST_LINKS; links++) {
    const name = posix.basename(at);
    if (name === '') throw refusal('EISDIR');
    const directory = makeDirectory(root, posix.dirname(at), owner);
    let place: Place | null = null;
    try {
      const found = lookAt(directory, name);
      if (typeof found !== 'string') return (place = { directory, name, stats: found });
      at = posix.resolve(posix.dirname(at), found);
    } finally {
      if (place === null) closeSync(directory);
    }
  }
  throw refusal('ELOOP');
};

// What is there, or where it leads. A link that another program has replaced meanwhile leads to its own name: there it is looked at anew.
const lookAt = (directory: Fd, name: ByteString): Stats | ByteString | null => {
  const stats = lstatSync(bytesBelow(directory, name), { throwIfNoEntry: false }) ?? null;
  if (!stats?.isSymbolicLink()) return stats;
  try {
    return readlinkSync(bytesBelow(directory, name), 'latin1');
  } catch (error) {
    if (hasCode(error, 'EINVAL', 'ENOENT')) return name;
    throw error;
  }
};

const refusal = (code: string): Error => Object.assign(new Error(code), { code });

// From the nearest directory that exists downwards. What another program puts in the way meanwhile is looked at, never followed.
const makeDirectory = (root: Fd, path: ByteString, owner: Owner): Fd => {
  const missing: ByteString[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    const fd = openExisting(root, at);
    if (fd !== null) return missing.reduceRight((directory, name) => makeBelow(directory, name, owner), fd);
    missing.push(posix.basename(at));
  }
};

const openExisting = (root: Fd, path: ByteString): Fd | null => {
  try {
    return openInRoot(root, bytesOf(path), O_PATH | O_DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOENT') && path !== '/') return null;
    throw error;
  }
};

const makeBelow = (directory: Fd, name: ByteString, owner: Owner): Fd => {
  try {
    makeUnlessThere(directory, name);
    const made = openat2(directory, bytesOf(name), O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (fstatSync(made).uid !== owner.uid) chownSync(`/proc/self/fd/${made}`, owner.uid, owner.gid);
    return made;
  } finally {
    closeSync(directory);
  }
};

const makeUnlessThere = (directory: Fd, name: ByteString): void => {
  try {
    mkdirSync(bytesBelow(directory, name), 0o755);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
};
