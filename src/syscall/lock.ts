/** Locks that the kernel takes back when their holder dies, however it dies.   man 2 flock */
import { closeSync, openSync } from 'node:fs';
import { call, hasCode } from './call.ts';
import { LOCK_EX, LOCK_NB } from './constants.ts';
import type { Fd } from './files.ts';

/** An exclusive lock on a file of ours, which is made where it is missing. The descriptor is the lock; null when another holds it or the directory is gone. */
export const tryLock = (path: string): Fd | null => {
  let fd: Fd;
  try {
    fd = openSync(path, 'a', 0o600);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
  try {
    call('flock', fd, LOCK_EX | LOCK_NB);
    return fd;
  } catch (error) {
    closeSync(fd);
    if (hasCode(error, 'EWOULDBLOCK', 'EAGAIN')) return null;
    throw error;
  }
};
