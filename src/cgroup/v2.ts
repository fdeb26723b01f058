/** Groups of cgroup v2: one directory in the unified hierarchy. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CPU_PERIOD_US, type Group, type GroupLimits, type Groups } from './group.ts';
import { readNumber, removeGroup, writeValue } from './files.ts';

/** Groups below `parent`, a directory without processes of its own whose controllers we may hand down. */
export const groupsOfV2 = (parent: string): Groups => ({
  directoriesOf: (name) => [join(parent, name)],
  create: (name, limits) => {
    handDown(parent);
    const directory = join(parent, name);
    mkdirSync(directory, { recursive: true });
    writeValue(directory, 'memory.max', limits.memory);
    writeValue(directory, 'memory.swap.max', 0);
    // No memory.oom.group: a vforked child that enters shares the server's memory until it execs, and the kernel would kill both.
    writeValue(directory, 'pids.max', limits.pids);
    return toGroup(directory, limits);
  },
});

const CONTROLLERS = ['memory', 'pids', 'cpu'];

const handDown = (parent: string): void => {
  const enabled = readFileSync(join(parent, 'cgroup.subtree_control'), 'utf8').trim().split(' ');
  const missing = CONTROLLERS.filter((controller) => !enabled.includes(controller));
  if (missing.length > 0) writeValue(parent, 'cgroup.subtree_control', missing.map((controller) => `+${controller}`).join(' '));
};

const toGroup = (directory: string, limits: GroupLimits): Group => ({
  entrances: [join(directory, 'cgroup.procs')],
  limitCpus: () => writeValue(directory, 'cpu.max', `${Math.round(limits.cpus * CPU_PERIOD_US)} ${CPU_PERIOD_US}`),
  usage: () => {
    const us = readNumber(directory, 'cpu.stat', 'usage_usec');
    return { cpuMs: us === null ? null : Math.round(us / 1000) };
  },
  oomKills: () => readNumber(directory, 'memory.events', 'oom_kill') ?? 0,
  remove: async () => {
    writeValue(directory, 'cgroup.kill', 1);
    await removeGroup(directory);
  },
});
