/**
 * Files by descriptor. A path that an attacker may shape is opened here and nowhere else: beneath a directory descriptor,
 * with the kernel doing the resolution. What is opened is then used through `/proc/self/fd/<fd>` (`pathOf`) by node:fs.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { call } from './call.ts';
import { AT_SYMLINK_NOFOLLOW, F_DUPFD_CLOEXEC, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS } from './constants.ts';
import { cString } from './text.ts';

export type Fd = number;

/**
 * Open a path beneath a directory, resolved as `resolve` says.   man 2 openat2 (Linux 5.6)
 * O_CLOEXEC is always set. EAGAIN (a rename raced the walk, RESOLVE_IN_ROOT and RESOLVE_BENEATH only) is left to the caller.
 */
export const openat2 = (dir: Fd, path: string | Buffer, flags: number, resolve: number, mode = 0): Fd => {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  return call('openat2', dir, cString(path), how, 24);
};

/** How often a walk that a rename raced is made again before EAGAIN is given to the caller. */
const RACED_WALKS = 64;

/**
 * Open `path` as a program whose root directory is `root` would: absolute links and `..` stay below it, magic links are refused.
 * A walk that a rename in the tree raced is made again a bounded number of times.
 */
export const openInRoot = (root: Fd, path: string | Buffer, flags: number, mode = 0): Fd => {
  for (let tries = 1; ; tries++) {
    try {
      return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode);
    } catch (error) {
      if (tries === RACED_WALKS || !(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
};

/** Opens a directory that we trust by its path on the host, without following a link at its end. */
export const openDirectory = (path: string): Fd => openat2(-100, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);

/** The path through which node:fs reaches what a descriptor refers to; names below a directory may be appended with `/`. */
export const pathOf = (fd: Fd): string => `/proc/self/fd/${fd}`;

/**
 * Opens for reading what an O_PATH descriptor refers to: for what was looked at, and is a regular file or a directory.
 * O_NONBLOCK: a file that a program holds a lease on gives EAGAIN instead of waiting.   man 2 fcntl, F_SETLEASE
 */
export const openToRead = (handle: Fd): Fd => openSync(pathOf(handle), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);

const NS_PER_S = 1_000_000_000n;

/**
 * Set the times of `name` in a directory, in `ns` since 1970; those of a link itself, not of what it points to.   man 2 utimensat (Linux 2.6.22)
 * node:fs takes seconds as a double, which cannot hold nanoseconds.
 */
export const setTimes = (dir: Fd, name: string | Buffer, atimeNs: bigint, mtimeNs: bigint): void => {
  const times = Buffer.alloc(32);
  for (const [index, time] of [atimeNs, mtimeNs].entries()) {
    const ns = ((time % NS_PER_S) + NS_PER_S) % NS_PER_S;
    times.writeBigInt64LE((time - ns) / NS_PER_S, index * 16);
    times.writeBigInt64LE(ns, index * 16 + 8);
  }
  call('utimensat', dir, cString(name), times, AT_SYMLINK_NOFOLLOW);
};

/** as much as the kernel ever lists, in `bytes`   man 7 xattr, XATTR_LIST_MAX */
const attributeNames = Buffer.alloc(65_536);

/** The names of the extended attributes, those that we may see, of what a descriptor refers to.   man 2 listxattr */
export const attributesOf = (fd: Fd): readonly string[] => {
  const length = call('listxattr', pathOf(fd), attributeNames, attributeNames.length);
  return length === 0 ? [] : attributeNames.toString('latin1', 0, length - 1).split('\0');
};

/** Runs `use` with a descriptor and closes it, whatever happens. */
export const withFd = <T>(fd: Fd, use: (fd: Fd) => T): T => {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
};

/** A second descriptor of the same open file, close-on-exec.   man 2 fcntl, F_DUPFD_CLOEXEC */
export const duplicate = (fd: Fd): Fd => call('fcntl', fd, F_DUPFD_CLOEXEC, 3);
