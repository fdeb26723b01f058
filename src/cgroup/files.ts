/** The files and directories that a control group consists of. */
import { readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../syscall/call.ts';

/** Writes a value into a file of a group; the errno of a refusal is the caller's to judge. */
export const writeValue = (group: string, file: string, value: string | number): void => writeFileSync(join(group, file), String(value), { flag: 'r+' });

/** The number that follows `name` in a file of such lines; null when it is not there. `name` '' takes the file's only number. */
export const readNumber = (group: string, file: string, name = ''): number | null => {
  try {
    const text = readFileSync(join(group, file), 'utf8');
    const found =
      name === ''
        ? text.trim()
        : text
            .split('\n')
            .find((line) => line.startsWith(`${name} `))
            ?.slice(name.length + 1);
    return found === undefined || !/^\d+$/.test(found) ? null : Number(found);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return null;
    throw error;
  }
};

/** Pids of a group, as this process sees them. */
export const pidsOf = (group: string): readonly number[] => {
  try {
    return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return [];
    throw error;
  }
};

const REMOVAL_STEP_MS = 5;
const REMOVAL_TRIES = 400;

/** Removes an empty group. Processes that have just ended keep it busy for some ms. */
export const removeGroup = async (group: string): Promise<void> => {
  for (let tries = 1; ; tries++) {
    try {
      return rmdirSync(group);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return;
      if (!hasCode(error, 'EBUSY') || tries === REMOVAL_TRIES) throw error;
      await sleep(REMOVAL_STEP_MS);
    }
  }
};
