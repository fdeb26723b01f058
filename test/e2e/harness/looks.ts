/** Looks at the host, so that a test can say "as before": processes, mounts, state, cgroups. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { Home } from './home.ts';

export interface HostLook {
  /** command lines of processes that name this home */
  readonly processes: readonly string[];
  /** mount points in our own mount namespace that name this home or one of its servers */
  readonly mounts: readonly string[];
  /** what lies in the state directory of each server */
  readonly state: readonly string[];
  /** what lies in the temporary directory of this home */
  readonly temporary: readonly string[];
  /** control groups that name one of its sandboxes */
  readonly cgroups: readonly string[];
  /** root's places for mount points of its servers */
  readonly run: readonly string[];
}

/** What the host looks like when nothing of a home's servers is left. */
export const NOTHING: HostLook = { processes: [], mounts: [], state: [], temporary: [], cgroups: [], run: [] };

/** Looks at what of the servers of a home is on this host. It knows a server and a sandbox by its name once it was seen, also when it is gone. */
export const watchHost = (home: Home): (() => HostLook) => {
  const servers = join(home.stateDir, 'servers');
  const ids = new Set<string>();
  return () => {
    for (const id of entries(servers)) for (const name of [id, ...entries(join(servers, id)).filter((one) => one.startsWith('cw-'))]) ids.add(name);
    const isOurs = (path: string): boolean => path.startsWith(home.directory) || [...ids].some((id) => path.includes(id));
    return {
      processes: allProcesses()
        .filter(({ commandLine }) => commandLine.includes(home.directory))
        .map(({ commandLine }) => commandLine),
      mounts: mountsOf('self').filter(isOurs),
      state: filesBelow(servers),
      temporary: filesBelow(join(home.directory, 'tmp')),
      cgroups: directoriesBelow(CGROUPS, CGROUP_DEPTH).filter(isOurs),
      run: entries(RUN).filter(isOurs),
    };
  };
};

export interface ProcessLook {
  readonly pid: number;
  readonly parent: number;
  /** arguments, joined by spaces; empty for a process that has ended and was not reaped */
  readonly commandLine: string;
  /** R, S, D, Z, …   man 5 proc */
  readonly state: string;
}

/** The descendants of a server. */
export const processesOf = ({ pid }: { readonly pid: number }): readonly ProcessLook[] => {
  const all = allProcesses();
  const below = (parent: number): readonly ProcessLook[] => all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(pid);
};

/** What a server holds: its processes, its mounts as it sees them, and how many descriptors. Descriptors are root's to count: -1 for others. */
export const holdingsOf = (server: { readonly pid: number }): { processes: readonly string[]; mounts: readonly string[]; descriptors: number } => ({
  // gVisor keeps some processes without a command line for the address spaces of programs to come.
  processes: processesOf(server).flatMap(({ commandLine, state }) => (state === 'Z' ? ['not reaped'] : commandLine === '' ? [] : [commandLine])),
  mounts: mountsOf(server.pid),
  descriptors: process.getuid!() === 0 ? readdirSync(`/proc/${server.pid}/fd`).length : -1,
});

/** What a server holds once it holds still: what it makes at its first call may still be on its way. */
export const settled = async (server: { readonly pid: number }): Promise<ReturnType<typeof holdingsOf>> => {
  for (let seen = holdingsOf(server); ;) {
    await sleep(200);
    const next = holdingsOf(server);
    if (isDeepStrictEqual(seen, next)) return next;
    seen = next;
  }
};

/** The same or fewer descriptors: a thread that has nothing to do any more takes its own with it. */
export const atMost = <T extends { readonly descriptors: number }>(holdings: T): T => ({
  ...holdings,
  descriptors: expect.toSatisfy((count: number) => count <= holdings.descriptors, `at most ${holdings.descriptors}`) as number,
});

/** The mount points that a process sees, in the order of mounting. Empty when it is gone.   man 5 proc, mountinfo */
export const mountsOf = (pid: number | 'self'): readonly string[] =>
  read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((point) => point.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))));

const RUN = '/run/cellwall';
const CGROUPS = '/sys/fs/cgroup';
/** How deep a group of ours may lie: a controller of v1, then slices, scopes and services of systemd. */
const CGROUP_DEPTH = 6;

const allProcesses = (): readonly ProcessLook[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const [state, parent] = read(`/proc/${name}/stat`).split(') ').at(-1)?.split(' ') ?? [];
      if (parent === undefined || state === undefined) return [];
      return [{ pid: Number(name), parent: Number(parent), state, commandLine: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim() }];
    });

const directoriesBelow = (directory: string, depth: number): readonly string[] =>
  (depth === 0 ? [] : entries(directory)).map((name) => join(directory, name)).flatMap((path) => [path, ...directoriesBelow(path, depth - 1)]);

// Directories only: a link would lead out of the tree or round in it.
const entries = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return []; // gone meanwhile, or not ours to look into
  }
};

const filesBelow = (directory: string): readonly string[] => (existsSync(directory) ? readdirSync(directory, { recursive: true, encoding: 'utf8' }) : []);

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // a process that has ended
  }
};
