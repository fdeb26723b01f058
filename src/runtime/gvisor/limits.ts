/** How a sandbox is held to its limits: by a control group of the host where there is one, and, for memory, by watching what its programs use. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Group, Groups } from '../../cgroup/group.ts';
import { log } from '../../log.ts';
import { AT_FDCWD, O_CLOEXEC, O_WRONLY, SIGKILL } from '../../syscall/constants.ts';
import { signalProcess, type Child } from '../../syscall/process.ts';
import type { Step } from '../../syscall/table.ts';
import type { Bundle, Ending, SandboxId, Usage } from '../runtime.ts';
import { memoryGauge } from './memory.ts';

export interface Limits {
  /** steps by which runsc enters the group before it runs, and all that it starts with it */
  readonly steps: readonly Step[];
  /** begins to watch, once the sandbox runs */
  watch(sentry: Child): void;
  usage(): Pick<Usage, 'memoryMb' | 'cpuMs'>;
  /** whether the sandbox ended because its memory was used up; null when it was not */
  ending(): Ending | null;
  /** ends what is left and removes the group */
  remove(): Promise<void>;
}

const MIB = 1024 * 1024;
/** What gVisor takes on top, at most. */
const RUNTIME_MEMORY = 512 * MIB;
/** gVisor's own threads and its processes for the programs' address spaces: reaching the host's limit would kill its kernel. */
const RUNTIME_PIDS = 2048;
/** How often the memory is looked at. */
const WATCH_MS = 100;

/** Prepares the limits of one sandbox; `directory` keeps a record by which another server can clean up. */
export const prepareLimits = (id: SandboxId, { spec, fileMemory }: Bundle, groups: Groups | null, directory: string): Limits => {
  const { memory, cpu, pids } = spec.linux.resources;
  const record = join(directory, `${id}${GROUP_RECORD}`);
  const group =
    groups &&
    createRecorded(groups, id, record, { memory: memory.limit + fileMemory + RUNTIME_MEMORY, cpus: cpu.quota / cpu.period, pids: pids.limit + RUNTIME_PIDS });
  let gauge: ReturnType<typeof memoryGauge> = null;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  return {
    steps: (group?.entrances ?? []).flatMap(enter),
    watch: (sentry) => {
      group?.limitCpus();
      gauge = memoryGauge(sentry.pid);
      if (gauge === null) log.warn('this runsc has no memory file: memory_mb is not enforced');
      timer = setInterval(() => {
        if ((gauge?.read() ?? 0) <= memory.limit) return;
        isOver = true;
        clearInterval(timer);
        signalProcess(sentry, SIGKILL);
      }, WATCH_MS).unref();
    },
    usage: () => {
      const used = gauge?.read() ?? null;
      return { memoryMb: used === null ? null : Math.round(used / MIB), cpuMs: group?.usage().cpuMs ?? null };
    },
    ending: () => {
      isOver ||= (group?.oomKills() ?? 0) > 0;
      return isOver
        ? { reason: `its programs used more than the ${Math.round(memory.limit / MIB)} MB of memory that its policy allows`, outOfMemory: true }
        : null;
    },
    remove: async () => {
      clearInterval(timer);
      await group?.remove();
      rmSync(record, { force: true });
    },
  };
};

/** End of the name of the file that names a sandbox's group: one directory a line. */
export const GROUP_RECORD = '.groups';

const createRecorded = (groups: Groups, id: SandboxId, record: string, limits: Parameters<Groups['create']>[1]): Group => {
  const name = `cellwall-${id}`;
  writeFileSync(record, groups.directoriesOf(name).join('\n'), { mode: 0o600 });
  return groups.create(name, limits);
};

const enter = (file: string): readonly Step[] => {
  const open: Step = { call: 'openat', args: [AT_FDCWD, file, O_WRONLY | O_CLOEXEC, 0] };
  return [open, { call: 'write', args: [{ resultOf: open }, '0', 1] }];
};
