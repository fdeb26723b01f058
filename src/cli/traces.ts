/** What a server and its sandboxes leave on this machine, looked at from outside: processes, mounts, state, and whether a directory has changed. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Where a server keeps what it has. */
export interface Places {
  /** its own directory under the state directory */
  readonly state: string;
  /** below it the trees of its sandboxes are mounted, in its own mount namespace */
  readonly mounts: string;
}

const ServerRecord = z.object({ pid: z.int(), mounts: z.string() });

/** The places of the server with this pid; null when no server of this state directory has it. */
export const placesOf = (stateDir: string, pid: number): Places | null => {
  const servers = join(stateDir, 'servers');
  for (const name of existsSync(servers) ? readdirSync(servers) : []) {
    const record = ServerRecord.safeParse(parse(read(join(servers, name, 'server.json'))));
    if (record.success && record.data.pid === pid) return { state: join(servers, name), mounts: record.data.mounts };
  }
  return null;
};

/** End of the names of the files in which a server writes down the control groups of a sandbox, one directory a line. */
const GROUP_RECORD = '.groups';

/** The directories of the control groups that a server has made. */
export const groupsOf = ({ state }: Places): readonly string[] => {
  const runtime = join(state, 'runtime');
  return (existsSync(runtime) ? readdirSync(runtime) : [])
    .filter((name) => name.endsWith(GROUP_RECORD))
    .flatMap((name) => read(join(runtime, name)).split('\n').filter(Boolean));
};

/** A process of this machine. */
export interface ProcessLook {
  readonly pid: number;
  readonly parent: number;
  readonly argv: readonly string[];
}

/** All processes of this machine, as far as it shows them.   man 5 proc */
export const allProcesses = (): readonly ProcessLook[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const parent = /\) \S (\d+)/.exec(read(`/proc/${name}/stat`))?.[1];
      return parent === undefined ? [] : [{ pid: Number(name), parent: Number(parent), argv: read(`/proc/${name}/cmdline`).split('\0').slice(0, -1) }];
    });

/** The descendants of a process, those that have ended and were not reaped among them. */
export const processesBelow = (pid: number): readonly ProcessLook[] => {
  const all = allProcesses();
  const below = (parent: number): readonly ProcessLook[] => all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(pid);
};

/** Mount points below a place, as a process sees them.   man 5 proc, mountinfo */
export const mountsBelow = (pid: number | 'self', place: string): readonly string[] =>
  read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((point) => point.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))))
    .filter((point) => point.startsWith(`${place}/`));

/** Everything in a directory by path: kind, mode, time and content. Two that are equal were not changed in between. */
export const fingerprint = (directory: string): ReadonlyMap<string, string> =>
  new Map(['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })].sort().map((name) => [name, printOf(join(directory, name))]));

/** The names that are in one and not in the other, or differ. */
export const differencesOf = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));

const printOf = (path: string): string => {
  const stat = lstatSync(path, { bigint: true });
  const content = stat.isFile() ? readFileSync(path) : stat.isSymbolicLink() ? readlinkSync(path) : '';
  return [stat.mode, stat.mtimeNs, createHash('sha256').update(content).digest('hex')].join(' ');
};

// What is not there, or not any more, is empty.
const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
