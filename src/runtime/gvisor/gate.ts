/**
 * What stands between the control socket and a command: a program of a few system calls that puts itself into a cgroup of the sandbox's own kernel,
 * gives up all privilege and becomes the command. So everything that an exec starts, daemons included, can be named and ended.
 * Both programs here are made for one exec and run inside as uid 0.
 */
import { AT_FDCWD, F_SETFD, O_CLOEXEC, O_RDONLY, O_WRONLY, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS } from '../../syscall/constants.ts';
import { programOf, reportingProgram, type StepFailure } from '../../syscall/elf.ts';
import type { Step } from '../../syscall/table.ts';
import { StartError } from '../runtime.ts';

/** Where the cgroup2 hierarchy of a sandbox is mounted inside, for pid 1 and the gate alone. */
export const CGROUP_MOUNT = '/sys/fs/cgroup';
/** What the gate holds until it has become `agent`. */
export const GATE_CAPABILITIES = ['CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP'] as const;
/** The descriptor inside that a failure is written to; at success it closes by itself. */
export const REPORT_FD = 3;

export interface GateOptions {
  /** name of the cgroup, made by the gate */
  readonly group: string;
  /** groups of earlier execs, removed on the way where nothing lives in them any more */
  readonly stale: readonly string[];
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const AGENT = 1000;
const AT_REMOVEDIR = 0x200;
const FD_CLOEXEC = 1;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** The gate of one exec, and what its report means. */
export const gateProgram = (options: GateOptions): { bytes: Buffer; failureOf(written: Buffer): StartError } => {
  const { bytes, failureOf } = reportingProgram([...joinGroup(options), ...becomeAgent(), ...becomeCommand(options)], { report: REPORT_FD });
  return { bytes, failureOf: (written) => startErrorOf(failureOf(written), options) };
};

/** Bytes that a `cgroup.events` holds at most. */
const EVENTS_SIZE = 64;

/** A program that says of each group, a line each, whether something lives in it: `<group> populated 1`, or nothing more where it is gone. */
export const censusProgram = (groups: readonly string[]): Buffer =>
  programOf(
    groups.flatMap((group) => {
      const open: Step = { call: 'openat', args: [AT_FDCWD, `${CGROUP_MOUNT}/${group}/cgroup.events`, O_RDONLY | O_CLOEXEC, 0], mayFail: true };
      const events = Buffer.alloc(EVENTS_SIZE);
      const read: Step = { call: 'read', args: [{ resultOf: open }, events, EVENTS_SIZE], mayFail: true };
      return [open, say(`\n${group} `), read, { call: 'write', args: [1, events, { resultOf: read }], mayFail: true }];
    }),
  );

/** The groups of a census in which something lives. */
export const populatedIn = (census: string): readonly string[] => census.split('\n').flatMap((line) => /^(\S+) populated 1$/.exec(line)?.[1] ?? []);

const say = (text: string): Step => ({ call: 'write', args: [1, text, text.length] });

/** A program that kills everything in a group and removes the group; it exits with 0 when nothing is left. */
export const killProgram = (group: string): Buffer =>
  programOf([
    ...writeTo(`${group}/cgroup.kill`, '1'),
    ...Array.from({ length: REMOVAL_TRIES }, (_, tries) => [removeGroup(group, true), pause(tries)]).flat(),
    removeGroup(group, false),
  ]);

const REMOVAL_TRIES = 400;

// A group can be removed once its last process is gone, which takes a fork bomb some 40 ms.
const pause = (tries: number): Step => {
  const time = Buffer.alloc(16);
  time.writeBigInt64LE(tries < 20 ? 100_000n : 5_000_000n, 8);
  return { call: 'nanosleep', args: [time, 0], mayFail: true };
};

const removeGroup = (group: string, mayFail: boolean): Step => ({
  call: 'unlinkat',
  args: [AT_FDCWD, `${CGROUP_MOUNT}/${group}`, AT_REMOVEDIR],
  mayFail,
  last: true,
});

const joinGroup = ({ group, stale }: GateOptions): readonly Step[] => [
  ...stale.map((name): Step => ({ ...removeGroup(name, true), last: false })),
  { call: 'mkdirat', args: [AT_FDCWD, `${CGROUP_MOUNT}/${group}`, 0o700] },
  ...writeTo(`${group}/cgroup.procs`, '0'),
];

const writeTo = (file: string, text: string): readonly Step[] => {
  const open: Step = { call: 'openat', args: [AT_FDCWD, `${CGROUP_MOUNT}/${file}`, O_WRONLY | O_CLOEXEC, 0] };
  return [open, { call: 'write', args: [{ resultOf: open }, text, text.length] }];
};

// The bounding set first: dropping from it needs a capability that the ids' change takes away.   man 7 capabilities
const becomeAgent = (): readonly Step[] => {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3);
  return [
    ...[6, 7, 8].map((capability): Step => ({ call: 'prctl', args: [PR_CAPBSET_DROP, capability, 0, 0, 0] })),
    { call: 'setgroups', args: [0, 0] },
    { call: 'setresgid', args: [AGENT, AGENT, AGENT] },
    { call: 'setresuid', args: [AGENT, AGENT, AGENT] },
    { call: 'capset', args: [header, Buffer.alloc(24)] },
    { call: 'prctl', args: [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0] },
  ];
};

// man 3 exec: a name without a slash is tried in each directory of PATH; the last failure is the one that is told.
const becomeCommand = ({ cwd, argv, env }: GateOptions): readonly Step[] => {
  const name = argv[0] ?? '';
  const directories = (env['PATH'] ?? '').split(':').map((directory) => directory || '.');
  const candidates = name.includes('/') ? [name] : directories.map((directory) => `${directory}/${name}`);
  const environment = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  return [
    { call: 'fcntl', args: [REPORT_FD, F_SETFD, FD_CLOEXEC] },
    { call: 'chdir', args: [cwd] },
    ...candidates.map((path, index): Step => ({ call: 'execve', args: [path, argv, environment], mayFail: index < candidates.length - 1 })),
  ];
};

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'a part of its path is no directory',
  EACCES: 'permission is denied',
  ENOEXEC: 'it is no program: its first bytes name no format and no interpreter',
  E2BIG: 'its arguments and environment are too long',
  ELOOP: 'it has too many links',
  ENAMETOOLONG: 'its name is too long',
  EAGAIN: 'the limit of processes is reached',
  ENOMEM: 'the sandbox is out of memory',
};

/** What speaks of the machine, not of the program. */
const PASSING = ['EAGAIN', 'ENOMEM'];

const startErrorOf = ({ step, errno }: StepFailure, { cwd, argv }: GateOptions): StartError => {
  const reason = REASONS[errno] ?? errno;
  if (step?.call === 'chdir') return new StartError(`the directory ${JSON.stringify(cwd)} cannot be entered: ${reason}`, 'other');
  if (step?.call !== 'execve') return new StartError(`the command cannot be prepared (${step?.call ?? 'unknown step'}): ${reason}`, 'other');
  const flaw = errno === 'ENOENT' ? 'missing' : PASSING.includes(errno) ? 'other' : 'unusable';
  return new StartError(`the program ${JSON.stringify(argv[0])} cannot be started: ${reason}`, flaw);
};
