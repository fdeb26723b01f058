/** What a floor caps. A section or field that the floor leaves out caps nothing. */
import { isWithin } from './places.ts';
import type { Floor, Policy } from './profile.ts';

/** A field of a policy that grants more than the floor does. */
export interface Excess {
  readonly field: string;
  readonly asked: unknown;
  readonly allowed: unknown;
}

/** The first field in which `policy` grants more than `floor`; undefined when it grants nowhere more. */
export const excessOf = (policy: Policy, floor: Floor): Excess | undefined => EXCESSES.flatMap((excess) => excess(policy, floor)).at(0);

/**
 * `policy` with what the floor asks of every context: to verify it, how it lies in the workspace, and what it leaves out; those lines come last, where
 * .gitignore lets them win.
 */
export const withFloor = (policy: Policy, floor: Floor): Policy => ({
  ...policy,
  workspace: policy.workspace.layout === 'auto' ? { ...policy.workspace, layout: floor.workspace?.layout ?? 'auto' } : policy.workspace,
  context: {
    ...policy.context,
    exclude: [...policy.context.exclude, ...(floor.context?.exclude ?? [])],
    verify: policy.context.verify || floor.context?.verify === true,
  },
});

const EXCESSES: readonly ((policy: Policy, floor: Floor) => Excess[])[] = [
  ({ runtime }, floor) => unless(floor.runtime?.name !== 'gvisor' || runtime.name === 'gvisor', 'runtime.name', runtime.name, 'gvisor'),
  ({ network }, floor) => unless(floor.network?.mode === undefined || network.mode === floor.network.mode, 'network.mode', network.mode, floor.network?.mode),
  ({ rootfs }, floor) =>
    unless(floor.rootfs?.source === undefined || rootfs.source === floor.rootfs.source, 'rootfs.source', rootfs.source, floor.rootfs?.source),
  ({ rootfs }, floor) => outside('rootfs.toolchains', pathsOf(rootfs.toolchains), floor.rootfs?.toolchains && pathsOf(floor.rootfs.toolchains), isWithin),
  ({ binds }, floor) => bindExcesses(binds, floor.binds),
  ({ workspace }, floor) => unless(floor.workspace?.mode !== 'read-only' || workspace.mode === 'read-only', 'workspace.mode', workspace.mode, 'read-only'),
  ({ workspace }, floor) => layoutExcess(workspace.layout, floor.workspace?.layout ?? 'auto'),
  ({ context }, floor) => outside('context.include', context.include, floor.context?.include, isSame),
  ({ context }, floor) => above('context', context, floor.context, ['max_files', 'max_mb']),
  ({ limits }, floor) => above('limits', limits, floor.limits, ['memory_mb', 'cpus', 'pids', 'disk_mb', 'tmp_mb', 'home_mb', 'shm_mb']),
  ({ lifetime }, floor) => above('lifetime', lifetime, floor.lifetime, ['ttl_s', 'idle_s', 'exec_timeout_ms']),
  ({ env }, floor) => outside('env.vars', Object.keys(env.vars), floor.env?.vars && Object.keys(floor.env.vars), isSame),
  ({ nested_namespaces: nested }, floor) => unless(floor.nested_namespaces?.allow !== false || !nested.allow, 'nested_namespaces.allow', nested.allow, false),
];

const unless = (holds: boolean, field: string, asked: unknown, allowed: unknown): Excess[] => (holds ? [] : [{ field, asked, allowed }]);

// Neither is more than the other: what the floor names is what there is.
const layoutExcess = (asked: Policy['workspace']['layout'], allowed: Policy['workspace']['layout']): Excess[] =>
  unless(asked === 'auto' || allowed === 'auto' || asked === allowed, 'workspace.layout', asked, allowed);

const above = <Field extends string>(
  section: string,
  policy: Readonly<Record<Field, number>>,
  floor: Readonly<Partial<Record<Field, number | undefined>>> | undefined,
  fields: readonly Field[],
): Excess[] =>
  fields.flatMap((field) => {
    const allowed = floor?.[field];
    return unless(allowed === undefined || policy[field] <= allowed, `${section}.${field}`, policy[field], allowed);
  });

// Each granted item has to be covered by one that the floor grants.
const outside = (field: string, granted: readonly string[], allowed: readonly string[] | undefined, covers: (item: string, by: string) => boolean): Excess[] =>
  allowed === undefined ? [] : granted.filter((item) => !allowed.some((by) => covers(item, by))).map((item) => ({ field, asked: item, allowed }));

// A bind is covered by one of the floor from the same place or above it that may write where it may.
const bindExcesses = (binds: Policy['binds'], floor: Floor['binds']): Excess[] =>
  (floor === undefined ? [] : binds)
    .filter((bind) => !floor?.some((by) => isWithin(bind.source, by.source) && (by.mode === 'read-write' || bind.mode === 'read-only')))
    .map((bind) => ({ field: 'binds', asked: `${bind.source} ${bind.mode}`, allowed: floor?.map((by) => `${by.source} ${by.mode}`) }));

const pathsOf = (toolchains: readonly { readonly path: string }[]): string[] => toolchains.map(({ path }) => path);

const isSame = (item: string, by: string): boolean => item === by;
