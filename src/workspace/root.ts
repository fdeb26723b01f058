/**
 * The sandbox's root as one mount tree on the host (decision 5 of the design): rootfs read-only, generated /etc, and the writable places,
 * each the same mount inside and outside. The runtime gets it as its root; files.ts reads it through its door.
 */
import { close, closeSync, existsSync, mkdirSync, openSync, readlinkSync, rmdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REMOUNT } from '../syscall/constants.ts';
import type { Fd } from '../syscall/files.ts';
import { bindTree, changeMount, cloneTree, mountTmpfs, unmount } from '../syscall/mounts.ts';
import type { Base } from './manifest.ts';
import { changesIn, idMapTo, mountWorkspace } from './overlay.ts';
import { partsOf } from './rootfs.ts';
import type { WorkspaceSource } from './source.ts';

export interface RootOptions {
  /** empty directory of the server's, in its own mount namespace, that the runtime's ids can reach */
  readonly place: string;
  /** directory that becomes /etc, shared by all sandboxes */
  readonly etc: string;
  /** directory that becomes /run/cellwall: what the server tells the sandbox */
  readonly run: string;
  /** `host`, or the directory of another root file system */
  readonly rootfs: string;
  /** directories of the host that appear at their own path, read-only */
  readonly toolchains: readonly string[];
  readonly binds: readonly { readonly source: string; readonly destination: string; readonly readOnly: boolean }[];
  /** sizes of the writable places in `MiB` */
  readonly sizes: { readonly workspace: number; readonly tmp: number; readonly home: number; readonly shm: number };
  /** who uid and gid 1000 inside are on the host */
  readonly agent: { readonly uid: number; readonly gid: number };
  /** path on the host that means /workspace inside too; null for none */
  readonly contextPath: string | null;
  /** what /workspace begins as: over its layers, or empty where an overlay does not work: then its caller brings them in */
  readonly base: Base;
  readonly overlay: boolean;
}

export interface Root {
  /** what the runtime takes as `root.path` */
  readonly path: string;
  /** descriptor of a read-only copy of the tree, for reading any path of it */
  readonly door: Fd;
  /** descriptor of a copy of the tree whose mounts are read-only where they are inside, for writing */
  readonly tree: Fd;
  readonly agent: RootOptions['agent'];
  /** where what the sandbox changes of its workspace can be looked at */
  readonly workspace: WorkspaceSource;
  /** makes /workspace read-only, inside and for writing */
  sealWorkspace(): void;
  /** takes the tree out of the server's sight while others may still use it; may be called while the sandbox is being ended */
  detach(): Promise<void>;
  /** closes and unmounts everything; what was written is gone */
  dispose(): Promise<void>;
}

/** Builds the tree. Throws SyscallError when a mount is refused; then nothing stays mounted. */
export const buildRoot = async (options: RootOptions): Promise<Root> => {
  const { place, agent } = options;
  const idMap = options.overlay && options.base.layers.length > 0 ? await idMapTo(agent.uid) : null;
  mkdirSync(place, { mode: 0o711 });
  try {
    mountTmpfs(place, { sizeMb: SKELETON_MB, inodes: SKELETON_INODES, mode: 0o755 });
    const root = join(place, 'root');
    for (const step of STEPS) step({ ...options, root, idMap });
    return openRoot(root, options);
  } catch (error) {
    await unmount(place);
    rmdirSync(place);
    throw error;
  } finally {
    if (idMap !== null) closeSync(idMap);
  }
};

const openRoot = (path: string, { place, agent, base, overlay }: RootOptions): Root => {
  const door = cloneTree(path, { readOnly: true });
  let tree = cloneTree(path, { readOnly: false });
  const isOverlay = overlay && base.layers.length > 0;
  const source = openSync(isOverlay ? changesIn(place) : join(path, 'workspace'), 'r');
  let detached: Promise<void> | undefined;
  const detach = (): Promise<void> => (detached ??= unmount(place));
  return {
    path,
    door,
    get tree() {
      return tree;
    },
    agent,
    workspace: isOverlay ? { kind: 'overlay', upper: source, base } : { kind: 'plain', root: source, base },
    sealWorkspace: () => {
      changeMount(join(path, 'workspace'), MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV);
      const sealed = cloneTree(path, { readOnly: false });
      closeSync(tree);
      tree = sealed;
    },
    detach,
    dispose: async () => {
      await Promise.all([detach(), ...[door, tree, source].map((fd) => closeAside(fd))]);
      rmdirSync(place);
    },
  };
};

const SKELETON_MB = 4;
const SKELETON_INODES = 1024;
/** one file or directory for each 4 KiB, so that inodes are never scarcer than bytes */
const INODES_PER_MB = 256;

type Step = (options: RootOptions & { readonly root: string; readonly idMap: Fd | null }) => void;

const DIRECTORIES = ['usr', 'etc', 'proc', 'sys', 'dev/shm', 'tmp', 'workspace', 'run/cellwall', 'home/agent', 'var', 'root', 'opt', 'mnt', 'srv'];

const makeDirectories: Step = ({ root, rootfs, toolchains, binds }) => {
  const inside = [...DIRECTORIES, ...toolchains, ...binds.map((bind) => bind.destination)];
  for (const path of inside.map((name) => join(root, name))) mkdirSync(path, { recursive: true });
  symlinkSync('/tmp', join(root, 'var/tmp'));
  for (const { name, source, link } of partsOf(rootfs)) {
    if (link) symlinkSync(readlinkSync(source), join(root, name));
    else mkdirSync(join(root, name), { recursive: true });
  }
};

/** Below these a path of the host means something else inside. */
const TAKEN = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
  '/etc',
  '/proc',
  '/sys',
  '/dev',
  '/tmp',
  '/run',
  '/workspace',
  '/home/agent',
].map((path) => `${path}/`);

const linkContext: Step = ({ root, contextPath }) => {
  if (contextPath === null || existsSync(join(root, contextPath)) || TAKEN.some((place) => `${contextPath}/`.startsWith(place))) return;
  mkdirSync(dirname(join(root, contextPath)), { recursive: true });
  symlinkSync('/workspace', join(root, contextPath));
};

// A bind of the directory onto itself is a mount whose flag can be changed without its submounts: they keep theirs.
const closeSkeleton: Step = ({ root }) => {
  bindTree(root, root, { readOnly: false });
  changeMount(root, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV);
};

const showReadOnly: Step = ({ root, rootfs, etc, run, toolchains }) => {
  const show = (source: string, target: string): void => bindTree(source, join(root, target), { readOnly: true });
  for (const { name, source, link } of partsOf(rootfs)) if (!link) show(source, name);
  for (const path of toolchains) if (existsSync(path)) show(path, path);
  show(etc, 'etc');
  show(run, 'run/cellwall');
};

const mountWritable: Step = ({ root, place, sizes, agent: owner, base: { layers }, overlay, idMap }) => {
  const sized = (sizeMb: number) => ({ sizeMb, inodes: sizeMb * INODES_PER_MB });
  const mount = (target: string, sizeMb: number, mode: number): void => mountTmpfs(join(root, target), { ...sized(sizeMb), mode, owner });
  if (overlay && layers.length > 0) mountWorkspace({ place, target: join(root, 'workspace'), layers, size: sized(sizes.workspace), owner, idMap });
  else mount('workspace', sizes.workspace, 0o755);
  mount('tmp', sizes.tmp, 0o1777);
  mount('home/agent', sizes.home, 0o700);
  mount('dev/shm', sizes.shm, 0o1777);
};

const showBinds: Step = ({ root, binds }) => {
  for (const { source, destination, readOnly } of binds) bindTree(source, join(root, destination), { readOnly });
};

/** The order is the design: what is below a mount is mounted after it. */
const STEPS: readonly Step[] = [makeDirectories, linkContext, closeSkeleton, showReadOnly, mountWritable, showBinds];

// The last descriptor of a tree takes its mounts with it, for which the kernel waits: not in this thread.
const closeAside = promisify(close);
