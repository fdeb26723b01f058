/**
 * Starting a process whose every step before execve is ours: a table of system calls, walked in a vforked child by the launch code.
 * The child shares the server's memory until execve, so the server must be undumpable (decision 4 of the design).
 */
import { SyscallError } from './call.ts';
import { SIG_BLOCK, SIG_SETMASK, SIGPIPE } from './constants.ts';
import type { Fd } from './files.ts';
import { reap, type Child } from './process.ts';
import { allocate, runBlock } from './stub.ts';
import { encodeTables, type Step, type Tables } from './table.ts';

export interface Command {
  /** absolute path of the program */
  readonly path: string;
  readonly argv: readonly string[];
  /** the whole environment, `NAME=value` */
  readonly env: readonly string[];
  /** descriptors that become 0, 1, 2 and so on of the program; it gets no others. Each must be above the highest of those */
  readonly stdio: readonly [stdin: Fd, stdout: Fd, stderr: Fd, ...more: Fd[]];
  /** steps made in the child before its descriptors are closed and the program runs */
  readonly steps?: readonly Step[];
  /** namespaces of its own, CLONE_NEW*   man 2 clone3 */
  readonly namespaces?: bigint;
}

/**
 * Starts a program with exactly the descriptors and the environment named, in a session of its own.
 * Preconditions: Linux 5.11 (close_range with CLOEXEC). Throws SyscallError for the step that failed, also for execve.
 */
export const launchCommand = (command: Command): Promise<Child> =>
  launch({ before: [BLOCK_SIGNALS], after: [RESTORE_SIGNALS], child: childOf(command), namespaces: command.namespaces ?? 0n });

const SIGSET_SIZE = 8;
const ALL_SIGNALS = Buffer.alloc(SIGSET_SIZE, 0xff);
const MASK_BEFORE = Buffer.alloc(SIGSET_SIZE);
const NO_SIGNALS = Buffer.alloc(SIGSET_SIZE);
const DEFAULT_ACTION = Buffer.alloc(32);
const CLOSE_RANGE_CLOEXEC = 4;
// A signal handler of Node's must not run in the child, on the memory of its parent.
const BLOCK_SIGNALS: Step = { call: 'rt_sigprocmask', args: [SIG_BLOCK, ALL_SIGNALS, MASK_BEFORE, SIGSET_SIZE] };
const RESTORE_SIGNALS: Step = { call: 'rt_sigprocmask', args: [SIG_SETMASK, MASK_BEFORE, 0, SIGSET_SIZE] };

// dup3 first: Node's own 0 to 2 are never inherited. SIGPIPE is ignored by Node, and that would survive execve.
const childOf = ({ path, argv, env, stdio, steps = [] }: Command): readonly Step[] => [
  ...stdio.map((fd, target): Step => ({ call: 'dup3', args: [fd, target, 0] })),
  { call: 'rt_sigaction', args: [SIGPIPE, DEFAULT_ACTION, 0, SIGSET_SIZE] },
  { call: 'rt_sigprocmask', args: [SIG_SETMASK, NO_SIGNALS, 0, SIGSET_SIZE] },
  { call: 'setsid', args: [] },
  ...steps,
  { call: 'close_range', args: [stdio.length, 0xffffffff, CLOSE_RANGE_CLOEXEC] },
  { call: 'execve', args: [path, argv, env] },
];

interface Arena {
  readonly address: bigint;
  readonly bytes: Buffer;
}

const ARENA_SIZE = 256 * 1024;
const idle: Arena[] = [];

// One arena a launch; they are kept for the next one, as their number is bounded by the launches at one time.
const launch = async (tables: Tables): Promise<Child> => {
  const arena = idle.pop() ?? allocate(ARENA_SIZE);
  try {
    const encoded = encodeTables(tables, arena.address);
    if (encoded.bytes.length > ARENA_SIZE) throw new RangeError(`a launch of ${encoded.bytes.length} bytes exceeds ${ARENA_SIZE}`);
    encoded.bytes.copy(arena.bytes);
    const pid = await runBlock(arena.address);
    const child = { pid, pidfd: arena.bytes.readInt32LE(encoded.pidfdOffset) };
    const failed = encoded.stepAt(arena.bytes.readBigUInt64LE(encoded.failedOffset));
    if (!failed) return child;
    reap(child);
    throw new SyscallError(failed.call, -Number(arena.bytes.readBigInt64LE(encoded.failedOffset + 8)), failed.args.slice(0, 1));
  } finally {
    idle.push(arena);
  }
};
