/** Files of /proc and /sys that tell about the host or change it (runc's list and the seed's). gVisor's own /proc has none of them and ignores both lists. */
import type { Linux } from './spec.ts';

export const kernelPaths = (): Pick<Linux, 'maskedPaths' | 'readonlyPaths'> => ({ maskedPaths: MASKED, readonlyPaths: READ_ONLY });

/** Not to be read: addresses, keys, timers and page maps of the host. */
const MASKED: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sysrq-trigger',
  '/proc/kpagecount',
  '/proc/kpageflags',
  '/proc/kpagecgroup',
  '/proc/config.gz',
  '/proc/kallsyms',
  '/sys/firmware',
];

/** Not to be written: settings of the host's kernel. */
const READ_ONLY: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys'];
