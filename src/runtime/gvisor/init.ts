/**
 * pid 1 of a sandbox: a few system calls, no libc. It becomes uid 0 without capabilities, so that `agent` cannot signal it, lets the kernel reap orphans,
 * and blocks in read on a pipe whose other end only the server holds. The read ends when the server does, and with pid 1 the sandbox ends.
 */
import { AT_FDCWD, PR_CAPBSET_DROP, SIGCHLD } from '../../syscall/constants.ts';
import { programOf } from '../../syscall/elf.ts';
import type { Step } from '../../syscall/table.ts';
import { CGROUP_MOUNT } from './gate.ts';

/** The program's bytes, for this machine. */
export const initProgram = (): Buffer => programOf(INIT);

const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const HIGHEST_CAPABILITY = 40;
const SIGSET_SIZE = 8;

// struct sigaction { SIG_IGN, … }: children of a parent that ignores SIGCHLD are reaped by the kernel.   man 2 sigaction
const ignore = Buffer.alloc(32);
ignore.writeBigUInt64LE(1n);
const capabilityHeader = Buffer.alloc(8);
capabilityHeader.writeUInt32LE(LINUX_CAPABILITY_VERSION_3);

/** In this order: dropping the bounding set and changing ids need the capabilities that the last step but two gives up. */
export const INIT: readonly Step[] = [
  { call: 'rt_sigaction', args: [SIGCHLD, ignore, 0, SIGSET_SIZE] },
  ...Array.from({ length: HIGHEST_CAPABILITY + 1 }, (_, capability): Step => ({ call: 'prctl', args: [PR_CAPBSET_DROP, capability, 0, 0, 0] })),
  { call: 'setgroups', args: [0, 0] },
  { call: 'setresgid', args: [0, 0, 0] },
  { call: 'setresuid', args: [0, 0, 0] },
  { call: 'capset', args: [capabilityHeader, Buffer.alloc(24)] },
  // The groups of the execs are nobody's business inside. Older gVisor has none.
  { call: 'fchmodat', args: [AT_FDCWD, CGROUP_MOUNT, 0o700], mayFail: true },
  // Only EINTR is tried again. Zero is the end of the pipe; an error ends the program as well.
  { call: 'read', args: [0, Buffer.alloc(1), 1], restart: true },
  { call: 'exit_group', args: [0] },
];
