/** Who may do what in the store: locks that the kernel takes back when their holder dies, however it dies.   man 2 flock */
import { closeSync, fstatSync, mkdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import type { Fd } from '../../syscall/files.ts';
import { tryLock } from '../../syscall/lock.ts';
import type { Pace } from '../pace.ts';

/** A key that is held; nobody else takes or removes there until `leave`. */
export interface HeldKey {
  readonly path: string;
  leave(): void;
}

/** how often a lock that another holds is asked for again, and for how long, in `ms` */
const RETRY_MS = 20;
const PATIENCE_MS = 45_000;

/** Holds a key, which is made where it is missing; waits for another who does, without blocking. Throws TIMED_OUT when that takes too long, and CANCELED. */
export const enterKey = async (store: string, key: string, pace: Pace): Promise<HeldKey> => {
  const path = join(store, key);
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const held = tryKey(store, key);
    if (held !== null) return held;
    pace.check();
    if (performance.now() > deadline) throw new SandboxError('TIMED_OUT', 'the context was not copied: another server has been copying it for too long');
    await setTimeout(RETRY_MS);
  }
};

/** Holds a key; null when it is missing or another holds it. */
export const tryKey = (store: string, key: string): HeldKey | null => {
  const path = join(store, key);
  const lock = tryLock(join(path, 'lock'));
  if (lock === null) return null;
  // Removed together with its directory, while it was waited for: it guards nothing any more.
  if (!isStillThere(join(path, 'lock'), lock)) {
    closeSync(lock);
    return null;
  }
  return { path, leave: () => closeSync(lock) };
};

const isStillThere = (path: string, fd: Fd): boolean => {
  try {
    return statSync(path).ino === fstatSync(fd).ino;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
};

/** The lock on a state: shared for who uses it, exclusive for who removes it. Its descriptor; null when it cannot be had now, or the state is gone. */
export const lockState = (state: string, mode: 'shared' | 'exclusive'): Fd | null =>
  tryLock(join(state, 'state'), { isShared: mode === 'shared', isMade: false });

/** Notes that a key is used now: those that were not used for longest are removed first. */
export const touchKey = (key: string): void => utimesSync(join(key, 'lock'), new Date(), new Date());
