/**
 * The memory of the programs of a sandbox: gVisor keeps all of it in one file in memory, so what that file occupies is what they use.
 * Files on the sandbox's tmpfs are not in it, and gVisor's own needs neither: it is exactly what a policy limits.
 */
import { readdirSync, readlinkSync, statSync } from 'node:fs';

/** `bytes` that the programs of the sandbox use. */
export interface MemoryGauge {
  read(): number | null;
}

const BLOCK = 512; // man 2 stat, st_blocks
const MEMORY_FILE = /^\/memfd:runsc-memory( \(deleted\))?$/;

/** A gauge for the sentry with this pid; null where this runsc has no such file. */
export const memoryGauge = (sentryPid: number): MemoryGauge | null => {
  const directory = `/proc/${sentryPid}/fd`;
  const fd = readdirSync(directory).find((name) => isMemoryFile(`${directory}/${name}`));
  return fd === undefined ? null : { read: () => occupied(`${directory}/${fd}`) };
};

const isMemoryFile = (path: string): boolean => {
  try {
    return MEMORY_FILE.test(readlinkSync(path));
  } catch {
    return false; // closed meanwhile
  }
};

const occupied = (path: string): number | null => {
  try {
    return statSync(path).blocks * BLOCK;
  } catch {
    return null; // the sentry has ended
  }
};
