/** Processes by descriptor: a pidfd means one process for ever, a pid only until it is reused. */
import { closeSync } from 'node:fs';
import { call, hasCode, SyscallError } from './call.ts';
import { CLD_EXITED, P_PID, P_PIDFD, POLLIN, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, SIGKILL, WALL, WEXITED, WNOHANG } from './constants.ts';
import type { Fd } from './files.ts';
import { libc } from './libc.ts';

export interface Child {
  readonly pid: number;
  /** descriptor of the process, close-on-exec; its holder waits for it and closes it   man 2 pidfd_open */
  readonly pidfd: Fd;
}

/** How a process ended: one of the two is a number. */
export interface Ended {
  readonly code: number | null;
  readonly signal: number | null;
}

/** A descriptor of a living process; ESRCH when there is none.   man 2 pidfd_open (Linux 5.3) */
export const openProcess = (pid: number): Child => ({ pid, pidfd: call('pidfd_open', pid, 0) });

/** Sends a signal; a process that has ended is no error.   man 2 pidfd_send_signal (Linux 5.1) */
export const signalProcess = ({ pidfd }: Child, signal: number): void => {
  try {
    call('pidfd_send_signal', pidfd, signal, null, 0);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
};

/**
 * Waits until a process has ended, at most `timeoutMs`, on a thread of the pool. True when it has.
 * man 2 poll: a pidfd is readable once its process has ended, whoever its parent is.
 */
export const waitForEnd = async ({ pidfd }: Child, timeoutMs: number): Promise<boolean> => {
  const fds = Buffer.alloc(8);
  fds.writeInt32LE(pidfd, 0);
  fds.writeInt16LE(POLLIN, 4);
  const [ready] = await libc().callAsync('poll', [fds, 1, timeoutMs]);
  return ready === 1;
};

/** Takes the exit status of a child that has ended, or kills it first, and closes its descriptor. Null when it was no child of ours. */
export const reap = (child: Child): Ended | null => {
  signalProcess(child, SIGKILL);
  try {
    return take(P_PIDFD, child.pidfd, WEXITED | WALL);
  } catch (error) {
    if (hasCode(error, 'ECHILD')) return null;
    throw error;
  } finally {
    closeSync(child.pidfd);
  }
};

/** Takes the exit status of `pid` if it is a child that has ended. True when it was taken or is no child. */
export const reapIfEnded = (pid: number): boolean => {
  try {
    return take(P_PID, pid, WEXITED | WALL | WNOHANG) !== null;
  } catch (error) {
    if (hasCode(error, 'ECHILD')) return true;
    throw error;
  }
};

const SIGINFO_SIZE = 128;

// man 2 waitid: si_pid stays 0 when WNOHANG found nothing; si_code tells an exit from a signal, si_status is its number.
const take = (type: number, id: number, options: number): Ended | null => {
  const info = Buffer.alloc(SIGINFO_SIZE);
  call('waitid', type, id, info, options);
  if (info.readInt32LE(16) === 0) return null;
  const status = info.readInt32LE(24);
  return info.readInt32LE(8) === CLD_EXITED ? { code: status, signal: null } : { code: null, signal: status };
};

/**
 * Makes this process refuse ptrace and `/proc/<pid>/mem` by its own user, for itself and for the children that share its memory until they exec.
 * man 2 prctl, PR_SET_DUMPABLE
 */
export const forbidDumping = (): void => void call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0);

/** Makes orphaned descendants children of this process, so that it can reap them.   man 2 prctl, PR_SET_CHILD_SUBREAPER */
export const becomeSubreaper = (): void => void call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

/** Whether an error says that a process does not exist any more. */
export const isGone = (error: unknown): boolean => error instanceof SyscallError && error.code === 'ESRCH';
