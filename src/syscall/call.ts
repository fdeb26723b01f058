/** From a failed call to an error that names it. */
import koffi from 'koffi';
import { libc, type Libc, type LibcName } from './libc.ts';

// Of two names for one number the first counts, as in Node: EAGAIN is not called EWOULDBLOCK.
const ERRNO_NAMES = new Map(
  Object.entries(koffi.os.errno)
    .reverse()
    .map(([name, number]) => [number, name]),
);
export const { EINTR, EAGAIN, EEXIST, ECHILD, ENOENT } = koffi.os.errno as Record<'EINTR' | 'EAGAIN' | 'EEXIST' | 'ECHILD' | 'ENOENT', number>;

/** The symbolic name of an errno, `ENOENT` for 2; the number in words where there is no name. */
export const errnoName = (errno: number): string => ERRNO_NAMES.get(errno) ?? `errno ${errno}`;

/** A system call that failed. Never crosses the wire: it is the `cause` of a SandboxError, and the log shows it. */
export class SyscallError extends Error {
  readonly syscall: string;
  /** symbolic name, as in man 3 errno */
  readonly code: string;
  readonly args: readonly unknown[];

  constructor(syscall: string, errno: number, args: readonly unknown[] = []) {
    super(`${syscall}: ${errnoName(errno)}`);
    this.name = 'SyscallError';
    this.syscall = syscall;
    this.code = errnoName(errno);
    this.args = args.map((argument) => (Buffer.isBuffer(argument) ? `<${argument.length} bytes>` : argument));
  }
}

/** Whether an error of ours or of node:fs has one of these errno names. */
export const hasCode = (error: unknown, ...codes: string[]): boolean => error instanceof Error && 'code' in error && codes.includes(String(error.code));

/** Calls a function of libc and returns its result as a number; throws SyscallError when it is negative. A call that a signal interrupted is made again. */
export const call = (name: LibcName, ...args: Parameters<Libc['call']>[1]): number => {
  for (;;) {
    const [result, errno] = libc().call(name, args);
    if (result >= 0) return Number(result);
    if (errno !== EINTR) throw new SyscallError(name, errno, args);
  }
};
