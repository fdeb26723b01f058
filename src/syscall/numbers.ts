/** Numbers of system calls, for tables that the stub walks and for calls that libc does not wrap.   man 2 syscalls */

const X64 = {
  read: 0, write: 1, close: 3, rt_sigaction: 13, rt_sigprocmask: 14, nanosleep: 35, execve: 59, kill: 62, fcntl: 72, chdir: 80, setsid: 112, setgroups: 116,
  setresuid: 117, setresgid: 119, capset: 126, prctl: 157, mount: 165, exit_group: 231, openat: 257, mkdirat: 258, unlinkat: 263, fchmodat: 268, unshare: 272, dup3: 292, setns: 308, execveat: 322,
} as const; // prettier-ignore

const ARM64 = {
  dup3: 24, fcntl: 25, mkdirat: 34, unlinkat: 35, mount: 40, chdir: 49, fchmodat: 53, openat: 56, close: 57, read: 63, write: 64, capset: 91, exit_group: 94, unshare: 97, nanosleep: 101,
  kill: 129, rt_sigaction: 134, rt_sigprocmask: 135, setresuid: 147, setresgid: 149, setsid: 157, setgroups: 159, prctl: 167, execve: 221, setns: 268, execveat: 281,
} as const; // prettier-ignore

/** The same on every architecture: they came after the numbering was unified (424 and up). */
const UNIFIED = {
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  pidfd_open: 434,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  mount_setattr: 442,
} as const;

export type Arch = 'x64' | 'arm64';
export type SyscallName = keyof typeof UNIFIED | (keyof typeof X64 & keyof typeof ARM64);

const NUMBERS = { x64: { ...UNIFIED, ...X64 }, arm64: { ...UNIFIED, ...ARM64 } } as const satisfies Record<Arch, Record<SyscallName, number>>;

/** The number of a system call on `arch`, by default this machine's. */
export const numberOf = (name: SyscallName, arch: Arch = process.arch as Arch): number => NUMBERS[arch][name];
