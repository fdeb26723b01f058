/** Locks that the kernel takes back when their holder dies, however it dies.   man 2 flock */
import { closeSync, openSync } from 'node:fs';
import { call, hasCode } from './call.ts';
import { LOCK_EX, LOCK_NB, LOCK_SH } from './constants.ts';
import type { Fd } from './files.ts';

export interface LockOptions {
  /** whether others may hold it too, as long as they all do so as shared; left out: no */
  readonly isShared?: boolean;
  /** whether a file that is missing is made; left out: yes */
  readonly isMade?: boolean;
}

/** A lock on a file of ours. The descriptor is the lock; null when others hold it, or the file (where it is not made) or its directory is gone. */
export const tryLock = (path: string, { isShared = false, isMade = true }: LockOptions = {}): Fd | null => {
  let fd: Fd;
  try {
    fd = openSync(path, isMade ? 'a' : 'r', 0o600);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
  try {
    if (takeLock(fd, isShared)) return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return null;
};

/** Takes the lock on an open file; false when others hold it. It goes with the last descriptor of the open file. */
export const takeLock = (fd: Fd, isShared = false): boolean => {
  try {
    call('flock', fd, (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB);
    return true;
  } catch (error) {
    if (hasCode(error, 'EWOULDBLOCK', 'EAGAIN')) return false;
    throw error;
  }
};
