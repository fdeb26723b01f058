/** The limits that a cgroup enforces. They are what programs get: what the runtime needs itself comes on top, where the group is made. */
import type { Policy } from '../policy/profile.ts';
import type { Resources } from './spec.ts';

export const resourcesOf = ({ limits }: Policy): Resources => {
  const memory = limits.memory_mb * BYTES_PER_MB;
  return {
    // Swap equal to memory: none. Swapping would make the limit a matter of patience.
    memory: { limit: memory, swap: memory },
    cpu: { quota: Math.round(limits.cpus * CPU_PERIOD_US), period: CPU_PERIOD_US },
    pids: { limit: limits.pids },
  };
};

const BYTES_PER_MB = 2 ** 20;
/** The kernel's default; its smallest quota of 1000 is 0.01 processors. */
const CPU_PERIOD_US = 100_000;
