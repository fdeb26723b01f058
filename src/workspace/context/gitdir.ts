/**
 * Where `.git` is a file (a worktree, a submodule) the git directory lies elsewhere. Copied into the place of that file it makes a git
 * directory of its own: for a worktree out of two, the repository's common one and the worktree's.   gitrepository-layout(5)
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { posix } from 'node:path';
import { hasCode } from '../../syscall/call.ts';
import { O_DIRECTORY, O_PATH, O_RDONLY, S_IFMT, S_IFREG } from '../../syscall/constants.ts';
import { pathOf, withFd, type Fd } from '../../syscall/files.ts';
import { openBeneath } from '../folders.ts';
import { isAtOrBelow, type ByteString } from '../names.ts';
import { openAllowed, type AllowedRoots } from '../roots.ts';

/** A directory that goes into the place of a `.git` file. The holder closes its descriptor. */
export interface GitPart {
  readonly fd: Fd;
  /** Whether a path within the directory belongs to the whole; what does not is passed over in silence. */
  readonly holds: (path: ByteString) => boolean;
}

/** `parts`: what goes into the place of the file; `unusable`: why git will not work inside; `as it is`: the file leads to a place in the context. */
export type GitDirectory = { readonly parts: readonly GitPart[] } | { readonly unusable: string } | 'as it is';

/** Parts that a repository's worktrees share. */
const COMMON = /^(?:branches|common|config|description|hooks|info|lfs|logs|objects|packed-refs|refs|remotes|rr-cache|shallow|svn)(?:\/|$)/;
/** What within them is the main worktree's own. */
const MAIN_WORKTREE_ONLY = /^(?:logs\/HEAD|(?:logs\/)?refs\/(?:bisect|worktree|rewritten)|info\/sparse-checkout)(?:\/|$)/;
/** What only makes sense where the worktree was, and the modules of a worktree, whose `.git` files lead there by themselves. */
const WORKTREE_ONLY = /^(?:commondir|gitdir|locked|modules|worktrees)(?:\/|$)/;

/** Follows the `.git` file in the directory `folder`, whose path on the host is `place`, within the context at `context`. */
export const openGitDirectory = (folder: Fd, place: ByteString, context: ByteString, allowed: AllowedRoots): GitDirectory => {
  const named = readLine(folder, '.git')?.match(/^gitdir: (.+?)\r?$/)?.[1];
  if (named === undefined) return { unusable: 'it names no git directory' };
  const own = openAllowed(posix.resolve(place, named), allowed);
  if (typeof own === 'string') return { unusable: UNUSABLE[own] };
  if (isAtOrBelow(own.path, context)) return withFd(own.fd, () => 'as it is');
  let result: ReturnType<typeof partsOf> | undefined;
  try {
    return (result = partsOf(own, allowed));
  } finally {
    if (result === undefined || !('parts' in result)) closeSync(own.fd);
  }
};

const UNUSABLE = {
  outside: 'it names a git directory outside the allowed roots',
  secret: 'it names a git directory among secrets',
  unreadable: 'it names a git directory that the server may not read',
  missing: 'it names a git directory that is not there',
};

const partsOf = (own: { fd: Fd; path: ByteString }, allowed: AllowedRoots): Exclude<GitDirectory, 'as it is'> => {
  if (readLine(own.fd, 'HEAD') === null) return { unusable: 'it names what is no git directory' };
  const common = readLine(own.fd, 'commondir');
  if (common === null) {
    return holdsObjects(own.fd) ? { parts: [{ fd: own.fd, holds: () => true }] } : { unusable: 'it names what is no git directory' };
  }
  const shared = openAllowed(posix.resolve(own.path, common), allowed);
  if (typeof shared === 'string') return { unusable: UNUSABLE[shared] };
  if (!holdsObjects(shared.fd)) return withFd(shared.fd, () => ({ unusable: 'its repository is no git directory' }));
  return {
    parts: [
      { fd: shared.fd, holds: (path) => COMMON.test(path) && !MAIN_WORKTREE_ONLY.test(path) },
      { fd: own.fd, holds: (path) => !COMMON.test(path) && !WORKTREE_ONLY.test(path) },
    ],
  };
};

const holdsObjects = (dir: Fd): boolean => {
  try {
    return withFd(openBeneath(dir, 'objects', O_PATH | O_DIRECTORY), () => true);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EACCES')) return false;
    throw error;
  }
};

/** longest first line that is read, in bytes: a path and some words */
const LINE_BYTES = 4200;

// The first line of a small regular file; null where there is none. What is no regular file is never opened.
const readLine = (dir: Fd, name: ByteString): ByteString | null => {
  try {
    return withFd(openBeneath(dir, name, O_PATH), (looked) => {
      if ((fstatSync(looked).mode & S_IFMT) !== S_IFREG) return null;
      const line = Buffer.alloc(LINE_BYTES);
      const length = withFd(openSync(pathOf(looked), O_RDONLY), (fd) => readSync(fd, line));
      return line.toString('latin1', 0, length).split('\n', 1)[0]!;
    });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EACCES')) return null;
    throw error;
  }
};
