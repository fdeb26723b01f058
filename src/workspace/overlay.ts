/** A snapshot as a workspace that can be written: its layers below one of the sandbox's own, of a limited size, which holds what has changed. */
import { chownSync, closeSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { idMapOf } from '../syscall/idmap.ts';
import { openDirectory, type Fd } from '../syscall/files.ts';
import { bindTree, mountOverlay, mountTmpfs, type TmpfsOptions } from '../syscall/mounts.ts';
import { storedAs } from './store/store-owner.ts';

export interface OverlayPlace {
  /** a directory of ours for what lies behind the overlay, out of the sandbox's sight */
  readonly place: string;
  /** where the overlay appears */
  readonly target: string;
  /** directories of a snapshot, the newest first; at least one */
  readonly layers: readonly string[];
  /** what it may grow to, and whose it is */
  readonly size: Pick<TmpfsOptions, 'sizeMb' | 'inodes'>;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** what shows the layers' files as the owner's; null where they are his already */
  readonly idMap: Fd | null;
  /** left out: a tmpfs */
  readonly mountUpper?: MountUpper | undefined;
}

/** Mounts what holds a sandbox's changes. */
export type MountUpper = typeof mountTmpfs;

/** The directory that holds what has changed in a workspace. */
export const changesIn = (place: string): string => join(place, CHANGES, 'upper');

const CHANGES = 'changes';
const LAYERS = 'layers';

/** A map of ids that shows what the store holds as `uid`'s; null where he owns it. Its caller closes it. Throws SyscallError. */
export const idMapTo = async (uid: number): Promise<Fd | null> => {
  const owner = storedAs();
  return owner === null ? null : idMapOf({ inside: owner.uid, host: uid, count: 1 });
};

/** Mounts the overlay. Throws SyscallError; what was mounted below `place` goes with it. */
export const mountWorkspace = ({ place, target, layers, size, owner, idMap, mountUpper = mountTmpfs }: OverlayPlace): void => {
  const upper = changesIn(place);
  const work = join(dirname(upper), 'work');
  mkdirSync(dirname(upper), { mode: 0o700 });
  mountUpper(dirname(upper), { ...size, mode: 0o700 });
  for (const path of [upper, work]) mkdirSync(path, { mode: 0o755 });
  chownSync(upper, owner.uid, owner.gid);
  // Named by descriptors: a mount's options have room for no more than a page.
  const open: Fd[] = [];
  const opened = (path: string): Fd => (open.push(openDirectory(path)), open.at(-1)!);
  try {
    const lower = layers.map((layer, index) => opened(idMap === null ? layer : showMapped(layer, join(place, LAYERS, String(index)), idMap)));
    mountOverlay(target, {
      lower,
      upper: opened(upper),
      work: opened(work),
      options: idMap === null ? [...OPTIONS, 'userxattr'] : [...OPTIONS, 'redirect_dir=on'],
    });
  } finally {
    for (const fd of open) closeSync(fd);
  }
};

/**
 * What the kernel's configuration would decide otherwise. `volatile`: nothing of it outlives the machine. Only root may rename directories of a lower layer
 * in place; for others rename says EXDEV, and `mv` copies.   Documentation/filesystems/overlayfs.rst
 */
const OPTIONS = ['volatile', 'index=off', 'metacopy=off', 'xino=off'];

const showMapped = (layer: string, target: string, idMap: Fd): string => {
  mkdirSync(target, { recursive: true, mode: 0o700 });
  bindTree(layer, target, { readOnly: true, idMap });
  return target;
};
