/** What a spec needs to know besides the policy: where this one sandbox lies on the host, and what its request adds. */
export interface Placement {
  /** absolute path on the host of the sandbox's root tree, which holds every place but /proc, /sys and /dev */
  readonly root: string;
  /** command line of pid 1, as seen inside */
  readonly init: readonly string[];
  /** ids of the host that are 0 and 1000 inside; null where the server lives in a user namespace that maps 1000 alone */
  readonly ids: { readonly root: number; readonly agent: number } | null;
  /** variables of the request */
  readonly env: Readonly<Record<string, string>>;
  /** absolute path on the host of the tmpfs that is /dev/shm inside */
  readonly shm: string;
}
