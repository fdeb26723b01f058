/** Mounts of this process's own mount namespace. Paths given here are the server's own; what is mounted may be hostile.   man 7 mount_namespaces */
import { closeSync } from 'node:fs';
import { call, hasCode } from './call.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MNT_DETACH,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOVE_MOUNT_F_EMPTY_PATH,
  MS_NODEV,
  MS_NOSUID,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  UMOUNT_NOFOLLOW,
} from './constants.ts';
import { pathOf, withFd, type Fd } from './files.ts';
import { libc } from './libc.ts';

export interface TmpfsOptions {
  /** most it may hold, in `MiB`; writing more is ENOSPC */
  readonly sizeMb: number;
  /** most files and directories; without a bound a program could take the kernel's memory by empty files */
  readonly inodes: number;
  /** permissions of its root, such as 0o1777 */
  readonly mode: number;
  /** owner of its root; left out: us */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** Mount an empty tmpfs, nosuid and nodev.   man 5 tmpfs */
export const mountTmpfs = (target: string, { sizeMb, inodes, mode, owner }: TmpfsOptions): void => {
  const data = [`size=${sizeMb}m`, `nr_inodes=${inodes}`, `mode=${mode.toString(8)}`, ...(owner ? [`uid=${owner.uid}`, `gid=${owner.gid}`] : [])];
  call('mount', 'tmpfs', target, 'tmpfs', MS_NOSUID | MS_NODEV, data.join(','));
};

export interface TreeOptions {
  readonly readOnly: boolean;
  /** a user namespace by whose map the owners of files appear; left out: as they are   man 2 mount_setattr, MOUNT_ATTR_IDMAP (Linux 5.12) */
  readonly idMap?: Fd;
}

/**
 * Show a tree of the host at another place too, with everything mounted below it, nosuid and nodev.
 * man 2 open_tree, man 2 mount_setattr (Linux 5.12), man 2 move_mount
 */
export const bindTree = (source: string, target: string, options: TreeOptions): void =>
  withFd(cloneTree(source, options), (tree) => void call('move_mount', tree, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));

/**
 * A copy of a mount tree that is attached nowhere and lives as long as its descriptor: what is mounted below `source` later does not appear in it.
 * A tree of a less privileged namespace can only be cloned as a whole, so it always is.
 */
export const cloneTree = (source: string, { readOnly, idMap }: TreeOptions): Fd => {
  const tree = call('open_tree', AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  const attributes = Buffer.alloc(32); // struct mount_attr: set, clear, propagation, user namespace
  const set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (readOnly ? MOUNT_ATTR_RDONLY : 0) | (idMap === undefined ? 0 : MOUNT_ATTR_IDMAP);
  attributes.writeBigUInt64LE(BigInt(set), 0);
  attributes.writeBigUInt64LE(BigInt(idMap ?? 0), 24);
  try {
    call('mount_setattr', tree, '', AT_EMPTY_PATH | AT_RECURSIVE, attributes, attributes.length);
    return tree;
  } catch (error) {
    closeSync(tree);
    throw error;
  }
};

export interface OverlayOptions {
  /** directories to read from, the uppermost first */
  readonly lower: readonly Fd[];
  /** the directory to write to */
  readonly upper: Fd;
  /** an empty directory on the file system of `upper` */
  readonly work: Fd;
  readonly options: readonly string[];
}

/** Mount an overlay, nosuid and nodev.   Documentation/filesystems/overlayfs.rst */
export const mountOverlay = (target: string, { lower, upper, work, options }: OverlayOptions): void => {
  const data = [`lowerdir=${lower.map(pathOf).join(':')}`, `upperdir=${pathOf(upper)}`, `workdir=${pathOf(work)}`, ...options];
  call('mount', 'overlay', target, 'overlay', MS_NOSUID | MS_NODEV, data.join(','));
};

/** Change how an existing mount propagates, or its flags.   man 2 mount, MS_SHARED, MS_REMOUNT | MS_BIND */
export const changeMount = (target: string, flags: number): void => void call('mount', null, target, null, flags, null);

/**
 * Take a mount and all below it away, on a thread of the pool, because freeing what it held takes time (70 ms a GB of tmpfs).
 * What is no mount is no error.   man 2 umount2, MNT_DETACH
 */
export const unmount = async (target: string): Promise<void> => {
  const [result] = await libc().callAsync('umount2', [target, MNT_DETACH | UMOUNT_NOFOLLOW]);
  if (result < 0) callUnlessUnmounted(target);
};

// The pool thread's errno cannot be read: the failed call is made again here, where EINVAL (no mount) and ENOENT can be told from the rest.
const callUnlessUnmounted = (target: string): void => {
  try {
    call('umount2', target, MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'ENOENT')) throw error;
  }
};
