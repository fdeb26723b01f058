/**
 * What a path of a sandbox leads to. The kernel resolves it within the tree; what is there is looked at through a descriptor that opens nothing,
 * and only regular files and directories are then opened, through that descriptor: it still refers to the same thing, whatever has been renamed.
 */
import { fstatSync, readlinkSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { O_NOFOLLOW, O_PATH } from '../../syscall/constants.ts';
import { openInRoot, openToRead, pathOf, withFd, type Fd } from '../../syscall/files.ts';
import { bytesOf, isAtOrBelow, type ByteString } from '../names.ts';
import { isOnlyInside, shownPath, WORKSPACE } from '../paths.ts';
import { typeOf } from '../status.ts';

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
  return { fd: openToRead(handle) };
};

/** Where something that was opened lies in the tree, as the kernel says. */
export const placeOf = (door: Fd, handle: Fd): ByteString => {
  const top = readlinkSync(pathOf(door), 'latin1');
  const place = readlinkSync(pathOf(handle), 'latin1');
  return top !== '/' && isAtOrBelow(place, top) ? place.slice(top.length) || '/' : place;
};

/** Who `agent` is on the host. */
export interface Agent {
  readonly uid: number;
  readonly gid: number;
}

const READ = 4;
const SEARCH = 1;

const statsAt = (door: Fd, path: ByteString): Stats => withFd(openInRoot(door, bytesOf(path), O_PATH | O_NOFOLLOW), (fd) => fstatSync(fd));

/** Who `agent` is in the tree that `door` is a descriptor of. */
export const agentOf = (door: Fd): Agent => {
  const { uid, gid } = statsAt(door, WORKSPACE); // its own
  return { uid, gid };
};

/** Whether `agent` may read a file, or list and enter a directory, whose directory it may enter. It could give itself every right on what it owns. */
export const mayRead = (agent: Agent, stats: Stats): boolean => stats.uid === agent.uid || allows(agent, stats, stats.isDirectory() ? READ | SEARCH : READ);

const allows = (agent: Agent, { uid, gid, mode }: Stats, right: number): boolean => {
  const shift = uid === agent.uid ? 6 : gid === agent.gid ? 3 : 0;
  return ((mode >> shift) & right) === right;
};

// The directories above count too, but for what it owns; where it cannot write they hold still.
const isOpenToAgent = (door: Fd, place: ByteString, stats: Stats): boolean => {
  const agent = agentOf(door);
  if (stats.uid === agent.uid) return true;
  return mayRead(agent, stats) && directoriesAbove(place).every((directory) => allows(agent, statsAt(door, directory), SEARCH));
};

const directoriesAbove = (place: ByteString): ByteString[] => {
  const above = posix.dirname(place);
  return above === place ? [] : [above, ...directoriesAbove(above)];
};
