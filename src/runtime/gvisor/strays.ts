/** Processes and groups that a runsc or a server left when it died, found by what their command lines and records say. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pidsOf, removeGroup } from '../../cgroup/files.ts';
import { hasCode } from '../../syscall/call.ts';
import { SIGKILL } from '../../syscall/constants.ts';
import { openProcess, reap, signalProcess, waitForEnd, type Child } from '../../syscall/process.ts';
import { GROUP_RECORD } from './limits.ts';

/** What dying processes may take; a sentry frees its memory first. */
const END_DEADLINE_MS = 10_000;

/** Ends processes by force and takes their status, where they are children of ours. */
export const endProcesses = async (processes: readonly Child[]): Promise<void> => {
  for (const child of processes) signalProcess(child, SIGKILL);
  await Promise.all(processes.map((child) => waitForEnd(child, END_DEADLINE_MS)));
  for (const child of processes) reap(child);
};

/** Processes of runsc whose `--root` is `root` and, where it is given, that name the sandbox `id`. */
export const strayProcesses = (root: string, id?: string): readonly Child[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isRunsc(name, root, id))
    .flatMap((pid) => {
      try {
        return [openProcess(Number(pid))];
      } catch (error) {
        if (hasCode(error, 'ESRCH')) return [];
        throw error;
      }
    });

const isRunsc = (pid: string, root: string, id: string | undefined): boolean => {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const namesRoot = argv.includes(`--root=${root}`) || argv[argv.indexOf('--root') + 1] === root;
    return namesRoot && (id === undefined || argv.includes(id));
  } catch {
    return false;
  }
};

/** Removes what the sandboxes of a server that is dead left on the host. `directory` is what was its runtime's. */
export const recoverGvisor = async (directory: string): Promise<void> => {
  await endProcesses(strayProcesses(join(directory, 'runsc')));
  for (const record of recordsIn(directory)) {
    for (const group of readFileSync(join(directory, record), 'utf8').split('\n').filter(isOurs)) {
      await endProcesses(pidsOf(group).map(openProcess));
      await removeGroup(group);
    }
  }
};

// A record is our own file; all the same nothing is removed that is no group of a sandbox.
const isOurs = (group: string): boolean => /^\/.*\/cellwall-cw-[0-9a-z]+$/.test(group);

const recordsIn = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory).filter((name) => name.endsWith(GROUP_RECORD));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
};
