import { existsSync, readFileSync } from 'node:fs';
import { it, expect } from 'vitest';
import { numberOf, type SyscallName } from '../../src/syscall/numbers.ts';
import { give } from '../requirements.ts';

/** Headers of linux-libc-dev that hold the numbers of an architecture, whatever this machine's is. */
const HEADERS = {
  x64: ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/x86_64-linux-gnu/include/asm/unistd_64.h'],
  arm64: ['/usr/include/asm-generic/unistd.h'],
} as const;

/** Every name there is: the type sees to it. */
const NAMES: Readonly<Record<SyscallName, true>> = {
  capset: true,
  chdir: true,
  clone3: true,
  close: true,
  close_range: true,
  dup3: true,
  execve: true,
  execveat: true,
  exit_group: true,
  fchmodat: true,
  fcntl: true,
  kill: true,
  mkdirat: true,
  mount: true,
  mount_setattr: true,
  move_mount: true,
  nanosleep: true,
  open_tree: true,
  openat: true,
  openat2: true,
  pidfd_open: true,
  pidfd_send_signal: true,
  prctl: true,
  read: true,
  rt_sigaction: true,
  rt_sigprocmask: true,
  setgroups: true,
  setns: true,
  setresgid: true,
  setresuid: true,
  setsid: true,
  unlinkat: true,
  unshare: true,
  write: true,
};

for (const arch of ['x64', 'arm64'] as const) {
  const title = `every system call has the number on ${arch} that the kernel's header gives it`;
  it(title, ({ skip }) => {
    const header = HEADERS[arch].find((path) => existsSync(path)) ?? give(`there is no ${HEADERS[arch][0]} (linux-libc-dev)`, title, skip);
    const defined = new Map(
      [...readFileSync(header, 'utf8').matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm)].map(([, name, number]) => [name, Number(number)]),
    );
    for (const name of Object.keys(NAMES) as SyscallName[]) expect([name, numberOf(name, arch)]).toEqual([name, defined.get(name)]);
  });
}
