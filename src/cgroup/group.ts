/** A group of processes on the host whose memory, processors and number are limited, measured and ended together.   man 7 cgroups */

export interface GroupLimits {
  /** `bytes`, of everything: programs, files on tmpfs, and what the runtime itself needs */
  readonly memory: number;
  /** processors; 0.5 is half the time of one */
  readonly cpus: number;
  readonly pids: number;
}

export interface GroupUsage {
  /** processor time of all that were ever in it, in `ms` */
  readonly cpuMs: number | null;
}

export interface Group {
  /** files of the host: a process of one thread that writes `0` to each of them is in the group, and so is all that it starts from then on */
  readonly entrances: readonly string[];
  /** sets the share of the processors, which start-up is not meant to wait for */
  limitCpus(): void;
  usage(): GroupUsage;
  /** how often the kernel killed for lack of memory */
  oomKills(): number;
  /** ends what is still in it and removes it; what is gone already is no error */
  remove(): Promise<void>;
}

/** Makes groups below the place that this server may use. */
export interface Groups {
  /** the directories that a group of this name consists of, whether or not it exists */
  directoriesOf(name: string): readonly string[];
  create(name: string, limits: GroupLimits): Group;
}

/** Period of the processor quota.   cpu.cfs_period_us, cpu.max */
export const CPU_PERIOD_US = 100_000;
