/** Pipes between the server and what it starts.   man 7 pipe */
import { call } from './call.ts';
import { F_SETPIPE_SZ, O_CLOEXEC } from './constants.ts';
import type { Fd } from './files.ts';

export interface Pipe {
  readonly read: Fd;
  readonly write: Fd;
}

/** Both ends close-on-exec.   man 2 pipe2 */
export const createPipe = (): Pipe => {
  const fds = Buffer.alloc(8);
  call('pipe2', fds, O_CLOEXEC);
  return { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
};

/** Widens a pipe as far as the user's allowance goes; where it is used up the pipe stays as it is.   man 2 fcntl, F_SETPIPE_SZ */
export const widenPipe = ({ write }: Pipe, bytes: number): void => {
  try {
    call('fcntl', write, F_SETPIPE_SZ, bytes);
  } catch {
    // EPERM: /proc/sys/fs/pipe-user-pages-soft is reached
  }
};
