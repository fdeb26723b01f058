/** Whether this machine has room for one sandbox more. Limits are caps, not reservations, so only a machine that is nearly full refuses. */
import { readFileSync, statfsSync } from 'node:fs';
import { SandboxError } from '../errors.ts';

/** What must be left, in `MiB`. */
const MEMORY_FLOOR = 256;
const DISK_FLOOR = 256;
const MIB = 1024 * 1024;

/** Throws HOST_FULL when memory, or the disk that `directory` lies on, is nearly used up.   man 5 proc, MemAvailable */
export const demandRoom = (directory: string): void => {
  const memory = memoryAvailable();
  if (memory < MEMORY_FLOOR) throw new SandboxError('HOST_FULL', `this machine is nearly out of memory: ${memory} MB are available, ${MEMORY_FLOOR} must be`);
  const { bavail, bsize } = statfsSync(directory);
  const disk = Math.floor((bavail * bsize) / MIB);
  if (disk < DISK_FLOOR) throw new SandboxError('HOST_FULL', `this machine's disk is nearly full: ${disk} MB are free, ${DISK_FLOOR} must be`);
};

const memoryAvailable = (): number => Math.floor(Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? Infinity) / 1024);
