/**
 * One namespace down (decision 4 of the design): this process replaces itself, in place, by itself inside a mount namespace of its own and,
 * as an ordinary user, a user namespace in which the user is uid 1000 and holds every capability. Same pid, same descriptors, nothing read from stdin.
 */
import { statSync } from 'node:fs';
import { call } from './call.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  F_SETFD,
  MS_REC,
  MS_SLAVE,
  O_CLOEXEC,
  O_WRONLY,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_RAISE,
} from './constants.ts';
import { programOf, sealedProgram } from './elf.ts';
import { changeMount } from './mounts.ts';
import type { Step } from './table.ts';

/** What an ordinary user's uid and gid are called inside. */
export const INSIDE_ID = 1000;
const MARKER = 'CELLWALL_ENCLOSED';

/**
 * Replaces this process by `node argv…` one namespace down. Returns never; throws SyscallError when the program could not be run.
 * Where the namespaces are refused the process comes back all the same, and `proveEnclosed` there says so.
 */
export const enclose = (argv: readonly string[], env: NodeJS.ProcessEnv, user: { readonly uid: number; readonly gid: number }): never => {
  const environment = Object.entries({ ...env, [MARKER]: `${process.pid}:${mountNamespace()}` }).map(([name, value]) => `${name}=${value ?? ''}`);
  const run: Step = { call: 'execve', args: [process.execPath, [process.execPath, ...argv], environment] };
  const program = sealedProgram('cellwall-enclose', programOf([...namespaceSteps(user), run]));
  for (const fd of [0, 1, 2]) call('fcntl', fd, F_SETFD, 0); // Node marks its own as close-on-exec
  call('execveat', program, '', ['cellwall', null], [null], AT_EMPTY_PATH);
  throw new Error('execveat returned');
};

/** Whether this process came back from `enclose`. The marker is believed only with our pid in it, and removed at once. */
export const cameBack = (env: NodeJS.ProcessEnv): { outside: string } | null => {
  const [pid, outside] = env[MARKER]?.split(':') ?? [];
  delete env[MARKER];
  return pid === String(process.pid) && outside ? { outside } : null;
};

/** Throws unless the process that came back is in another mount namespace and can mount there: SyscallError EPERM where a policy of the system forbids it. */
export const proveEnclosed = ({ outside }: { outside: string }): void => {
  if (outside === mountNamespace()) throw new Error('the mount namespace is the old one: unshare was refused');
  changeMount('/', MS_REC | MS_SLAVE);
};

const mountNamespace = (): string => String(statSync('/proc/self/ns/mnt').ino);

/**
 * What makes the namespaces, in this order. Root keeps its user namespace: it needs its power, and its sandboxes get ids of their own.
 * Every step may fail, because nobody is there to tell: `proveEnclosed` looks at the outcome.
 */
export const namespaceSteps = ({ uid, gid }: { readonly uid: number; readonly gid: number }): readonly Step[] => {
  // What the host mounts later still appears here; what is mounted here never appears there.
  const slave = attempt('mount', 'none', '/', 0, MS_REC | MS_SLAVE, 0);
  if (uid === 0) return [attempt('unshare', CLONE_NEWNS), slave];
  return [attempt('unshare', CLONE_NEWNS | CLONE_NEWUSER), ...mapIds(uid, gid), slave, ...keepCapabilities()];
};

const attempt = (name: Step['call'], ...args: Step['args']): Step => ({ call: name, args, mayFail: true });

// man 7 user_namespaces: without privilege one id may be mapped, and the group only once setgroups is denied.
const mapIds = (uid: number, gid: number): readonly Step[] => [
  ...writeFile('/proc/self/setgroups', 'deny'),
  ...writeFile('/proc/self/uid_map', `${INSIDE_ID} ${uid} 1`),
  ...writeFile('/proc/self/gid_map', `${INSIDE_ID} ${gid} 1`),
];

const writeFile = (path: string, text: string): readonly Step[] => {
  const open = attempt('openat', AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  return [open, attempt('write', { resultOf: open }, text, text.length)];
};

const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const HIGHEST_CAPABILITY = 63;

// uid 1000 would lose its capabilities at execve: only ambient ones stay, and those must be inheritable first.   man 7 capabilities
const keepCapabilities = (): readonly Step[] => {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3, 0);
  const everything = Buffer.alloc(24, 0xff); // the kernel masks what it does not know
  const capabilities = Array.from({ length: HIGHEST_CAPABILITY + 1 }, (_, capability) => capability);
  return [attempt('capset', header, everything), ...capabilities.map((capability) => attempt('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))];
};
