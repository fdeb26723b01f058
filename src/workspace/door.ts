/**
 * What a path of a sandbox leads to. The kernel resolves it within the tree; what is there is looked at through a descriptor that opens nothing,
 * and only regular files and directories are then opened, through that descriptor: it still refers to the same thing, whatever has been renamed.
 */
import { constants, fstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { SandboxError } from '../errors.ts';
import { hasCode } from '../syscall/call.ts';
import { O_NOFOLLOW, O_PATH } from '../syscall/constants.ts';
import { openInRoot, pathOf, withFd, type Fd } from '../syscall/files.ts';
import { bytesOf, isAtOrBelow, type ByteString } from './names.ts';
import { isOnlyInside, shownPath } from './paths.ts';
import { typeOf } from './status.ts';

/** Something that exists and is never opened. */
export interface OtherResult {
  readonly type: 'fifo' | 'device' | 'socket';
}

/** A file or directory, opened for reading; something that is not opened; or the path of something that the tree does not have and only the sandbox may see. */
export type Found = { readonly fd: Fd } | { readonly other: OtherResult } | { readonly inside: ByteString };

/**
 * Finds what an absolute path leads to in the tree that `door` is a descriptor of. The caller closes the descriptor that comes back.
 * Throws SyscallError or an error of node:fs, and PATH_REFUSED for what `agent` could not read itself: the server may read more.
 */
export const findThroughDoor = (door: Fd, path: ByteString, given: string): Found => {
  if (isOnlyInside(path)) return { inside: path };
  let fd: Fd;
  try {
    fd = openInRoot(door, bytesOf(path), O_PATH);
  } catch (error) {
    // A link may lead to what only the sandbox sees, and its pipes and sockets exist in its own kernel alone.
    if (hasCode(error, 'ENOENT')) return { inside: path };
    throw error;
  }
  return withFd(fd, (handle) => open(door, handle, given));
};

const open = (door: Fd, handle: Fd, given: string): Found => {
  const place = placeOf(door, handle);
  if (isOnlyInside(place)) return { inside: place };
  const stats = fstatSync(handle);
  if (!isOpenToAgent(door, place, stats)) throw new SandboxError('PATH_REFUSED', `${shownPath(given)} cannot be read: the user \`agent\` may not read it`);
  const type = typeOf(stats.mode);
  if (type === 'fifo' || type === 'device' || type === 'socket') return { other: { type } };
  // O_NONBLOCK: a file that a program holds a lease on gives EAGAIN instead of waiting.   man 2 fcntl, F_SETLEASE
  return { fd: openSync(pathOf(handle), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY) };
};

// Where something lies in the tree, as the kernel says.
const placeOf = (door: Fd, handle: Fd): ByteString => {
  const top = readlinkSync(pathOf(door), 'latin1');
  const place = readlinkSync(pathOf(handle), 'latin1');
  return top !== '/' && isAtOrBelow(place, top) ? place.slice(top.length) || '/' : place;
};

/** The directory that tells who `agent` is on the host: it owns it. */
const OWNED_BY_AGENT = '/workspace';
const READ = 4;
const SEARCH = 1;

// `agent` could give itself every right on what it owns. Elsewhere the directories above count too; where it cannot write they hold still.
const isOpenToAgent = (door: Fd, place: ByteString, stats: Stats): boolean => {
  const statsAt = (path: ByteString): Stats => withFd(openInRoot(door, bytesOf(path), O_PATH | O_NOFOLLOW), (fd) => fstatSync(fd));
  const agent = statsAt(OWNED_BY_AGENT);
  if (stats.uid === agent.uid) return true;
  const allows = ({ uid, gid, mode }: Stats, right: number): boolean => {
    const shift = uid === agent.uid ? 6 : gid === agent.gid ? 3 : 0;
    return ((mode >> shift) & right) === right;
  };
  if (!allows(stats, stats.isDirectory() ? READ | SEARCH : READ)) return false;
  return directoriesAbove(place).every((directory) => allows(statsAt(directory), SEARCH));
};

const directoriesAbove = (place: ByteString): ByteString[] => {
  const above = posix.dirname(place);
  return above === place ? [] : [above, ...directoriesAbove(above)];
};
