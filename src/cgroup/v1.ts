/** Groups of cgroup v1: one directory in each controller's hierarchy. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SIGKILL } from '../syscall/constants.ts';
import { CPU_PERIOD_US, type Group, type GroupLimits, type Groups } from './group.ts';
import { pidsOf, readNumber, removeGroup, writeValue } from './files.ts';

/** The controllers that groups need, and where this process is in each of them. */
export interface Hierarchies {
  readonly memory: string;
  readonly pids: string;
  readonly cpu: string;
  /** null where the kernel counts no time */
  readonly cpuacct: string | null;
}

export const groupsOfV1 = (hierarchies: Hierarchies): Groups => {
  const directoriesOf = (name: string): readonly string[] => [
    ...new Set(Object.values(hierarchies).flatMap((place: string | null) => (place === null ? [] : [join(place, name)]))),
  ];
  return {
    directoriesOf,
    create: (name, limits) => {
      const directories = directoriesOf(name);
      for (const directory of directories) mkdirSync(directory, { recursive: true });
      const { memory, pids, cpu, cpuacct } = hierarchies;
      const places = { memory: join(memory, name), pids: join(pids, name), cpu: join(cpu, name), cpuacct: cpuacct === null ? null : join(cpuacct, name) };
      limit(places, limits);
      return toGroup(places, directories, limits);
    },
  };
};

const limit = ({ memory, pids }: Hierarchies, limits: GroupLimits): void => {
  writeValue(memory, 'memory.limit_in_bytes', limits.memory);
  writeValue(pids, 'pids.max', limits.pids);
};

const toGroup = ({ memory, cpu, cpuacct, pids }: Hierarchies, directories: readonly string[], limits: GroupLimits): Group => ({
  // A process of one thread that moves itself by `tasks` waits for nobody; by `cgroup.procs` it would take the lock of all processes of the machine, some 10 ms each.
  entrances: directories.map((directory) => join(directory, 'tasks')),
  limitCpus: () => {
    writeValue(cpu, 'cpu.cfs_period_us', CPU_PERIOD_US);
    writeValue(cpu, 'cpu.cfs_quota_us', Math.round(limits.cpus * CPU_PERIOD_US));
  },
  usage: () => {
    const ns = cpuacct === null ? null : readNumber(cpuacct, 'cpuacct.usage');
    return { cpuMs: ns === null ? null : Math.round(ns / 1e6) };
  },
  oomKills: () => readNumber(memory, 'memory.oom_control', 'oom_kill') ?? 0,
  remove: async () => {
    for (const pid of pidsOf(pids)) endProcess(pid);
    for (const directory of directories) await removeGroup(directory);
  },
});

// v1 has no kill for a group. A pid that is gone meanwhile is no error; one that is used again cannot be in the group.
const endProcess = (pid: number): void => {
  try {
    process.kill(pid, SIGKILL);
  } catch {
    // ESRCH
  }
};
