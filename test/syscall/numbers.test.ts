import { existsSync, readFileSync } from 'node:fs';
import { it, expect } from 'vitest';
import { numberOf, type SyscallName } from '../../src/syscall/numbers.ts';
import { give } from '../requirements.ts';

/** Headers of linux-libc-dev that hold the numbers of an architecture, whatever this machine's is. */
const HEADERS = {
  x64: ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/x86_64-linux-gnu/include/asm/unistd_64.h'],
  arm64: ['/usr/include/asm-generic/unistd.h'],
} as const;

const NAMES: readonly SyscallName[] = [
  ...(['read', 'write', 'close', 'rt_sigaction', 'rt_sigprocmask', 'nanosleep', 'execve', 'fcntl', 'chdir', 'setsid', 'setgroups'] as const),
  ...(['setresuid', 'setresgid', 'capset', 'prctl', 'mount', 'exit_group', 'openat', 'mkdirat', 'unlinkat', 'fchmodat', 'unshare', 'dup3'] as const),
  ...(['setns', 'execveat', 'pidfd_send_signal', 'open_tree', 'move_mount', 'pidfd_open', 'clone3', 'close_range', 'openat2', 'mount_setattr'] as const),
];

for (const arch of ['x64', 'arm64'] as const) {
  const title = `every system call has the number on ${arch} that the kernel's header gives it`;
  it(title, ({ skip }) => {
    const header = HEADERS[arch].find((path) => existsSync(path)) ?? give(`there is no ${HEADERS[arch][0]} (linux-libc-dev)`, title, skip);
    const defined = new Map(
      [...readFileSync(header, 'utf8').matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm)].map(([, name, number]) => [name, Number(number)]),
    );
    for (const name of NAMES) expect([name, numberOf(name, arch)]).toEqual([name, defined.get(name)]);
  });
}
