/** Everything that a sandbox consists of, put together step by step; when a step fails, those before it are undone in reverse order. */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from '../oci/compile.ts';
import type { Policy } from '../policy/profile.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { INIT_NAME } from '../runtime/runtime.ts';
import type { ContextCopy } from '../workspace/context/context.ts';
import { chooseLayout, EMPTY_LAYOUT } from '../workspace/layout.ts';
import { NOTHING } from '../workspace/manifest.ts';
import type { OverlayTrial } from '../workspace/overlay-trial.ts';
import { buildRoot, type Root } from '../workspace/root.ts';
import type { AllowedRoots, OpenedContext } from '../workspace/roots.ts';
import { materialize, type Listener, type Snapshot, type SnapshotStore } from '../workspace/store/store.ts';
import { OUTPUT_ROOT } from './exec.ts';
import type { Home } from './home.ts';
import type { HostIds } from './ids.ts';

export interface AssemblyOptions {
  /** name towards the runtime */
  readonly key: string;
  readonly policy: Policy;
  readonly env: Readonly<Record<string, string>>;
  readonly home: Home;
  readonly runtime: Runtime;
  /** null where the server is an ordinary user's, who is 1000 inside */
  readonly ids: HostIds | null;
  /** closed by its caller */
  readonly context: OpenedContext | null;
  readonly allowed: AllowedRoots;
  readonly snapshots: SnapshotStore;
  readonly overlayTrial: OverlayTrial;
}

export interface Assembly {
  readonly root: Root;
  /** host directory that is /run/cellwall inside */
  readonly runDirectory: string;
  readonly copy: ContextCopy | null;
  /** about the workspace */
  readonly warnings: readonly string[];
  dispose(): Promise<void>;
}

/** Builds and starts a sandbox. Throws what its steps throw; nothing is left then. */
export const assemble = async (options: AssemblyOptions, listener: Listener): Promise<Assembly> => {
  const undo: (() => void | Promise<void>)[] = [];
  const dispose = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    return { ...(await build(options, listener, (step) => undo.push(step))), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
};

type Build = (options: AssemblyOptions, listener: Listener, onUndo: (step: () => void | Promise<void>) => void) => Promise<Omit<Assembly, 'dispose'>>;

const build: Build = async (options, listener, onUndo) => {
  const { key, policy, home, runtime, ids, context, overlayTrial } = options;
  const runDirectory = makeDirectories(options);
  onUndo(() => rm(join(home.directory, key), { recursive: true, force: true }));
  const snapshot = context === null ? null : await takeSnapshot(context, options, listener);
  onUndo(() => snapshot?.release());
  const layout = snapshot === null ? EMPTY_LAYOUT : await chooseLayout(policy.workspace.layout, overlayTrial);
  const root = await buildRoot({ ...rootOptions(options, runDirectory), base: snapshot ?? NOTHING, overlay: layout.kind === 'overlay' });
  onUndo(() => root.dispose());
  if (root.workspace.kind === 'plain') await materialize(root.workspace.base, root.workspace.root, root.agent, listener);
  if (policy.workspace.mode === 'read-only') root.sealWorkspace();
  const forget = keepTmp(root);
  const spec = compile(policy, { root: root.path, init: [join(OUTPUT_ROOT, INIT_NAME)], ids, env: options.env, shm: join(root.path, 'dev/shm') });
  await runtime.create(
    key,
    { spec, platform: policy.runtime.platform, programs: { host: runDirectory, inside: OUTPUT_ROOT }, fileMemory: fileMemoryOf(policy) },
    listener.signal,
  );
  onUndo(() => runtime.destroy(key));
  forget();
  return { root, runDirectory, copy: snapshot && snapshot.facts, warnings: layout.warnings };
};

// What the program inside may know of itself, so that it can see why it was refused something.
const makeDirectories = ({ key, policy, home }: AssemblyOptions): string => {
  const directory = join(home.directory, key);
  const run = join(directory, 'run');
  mkdirSync(directory, { mode: 0o700 });
  mkdirSync(run);
  chmodSync(run, 0o755);
  writeFileSync(join(run, 'policy.json'), `${JSON.stringify(policy, null, 2)}\n`);
  chmodSync(join(run, 'policy.json'), 0o444);
  return run;
};

const rootOptions = ({ key, policy, home, ids, context }: AssemblyOptions, run: string): Omit<Parameters<typeof buildRoot>[0], 'base' | 'overlay'> => ({
  place: join(home.mounts, key),
  etc: home.etc,
  run,
  rootfs: policy.rootfs.source,
  toolchains: policy.rootfs.toolchains.map(({ path }) => path),
  binds: policy.binds.map(({ source, destination, mode }) => ({ source, destination, readOnly: mode === 'read-only' })),
  sizes: { workspace: policy.limits.disk_mb, tmp: policy.limits.tmp_mb, home: policy.limits.home_mb, shm: policy.limits.shm_mb },
  agent: ownerOf(ids),
  contextPath: context?.path ?? null,
});

/** Who `agent` is, as this process sees it. */
const INSIDE_ID = 1000;
const ownerOf = (ids: HostIds | null): { uid: number; gid: number } => ({ uid: ids?.agent ?? INSIDE_ID, gid: ids?.agent ?? INSIDE_ID });

const MIB = 1024 * 1024;

const fileMemoryOf = ({ limits }: Policy): number => (limits.disk_mb + limits.tmp_mb + limits.home_mb + limits.shm_mb) * MIB;

const takeSnapshot = (context: OpenedContext, { policy, allowed, snapshots }: AssemblyOptions, { signal, onProgress }: Listener): Promise<Snapshot> => {
  const { exclude, include, max_files: maxFiles, max_mb: maxMb, verify } = policy.context;
  return snapshots.take(context, { rules: { exclude, include, maxFiles, maxBytes: maxMb * MIB }, allowed, verify, onProgress }, signal);
};

// gVisor covers an empty /tmp with a memory of its own, whose size nobody limits and which the host does not see. One file keeps ours.
const keepTmp = (root: Root): (() => void) => {
  const file = join(root.path, 'tmp', '.cellwall');
  writeFileSync(file, '');
  return () => rmSync(file);
};
