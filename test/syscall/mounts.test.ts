import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { bindTree, changeMount, cloneTree, mountTmpfs, unmount } from '../../src/syscall/mounts.ts';
import { mode } from '../e2e/harness/mode.ts';
import { enclosed } from './enclosed.ts';
import { recording } from './recorder.ts';

const { EINVAL, ENOENT, EPERM, EBUSY } = constants.errno;
const AT_FDCWD = -100;
/** MS_NOSUID | MS_NODEV */
const NOSUID_NODEV = 6;

/** struct mount_attr as it is given to the kernel: what is set, nothing cleared. */
const attributes = (set: number): Buffer => {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt8(set, 0);
  return bytes;
};
/** A descriptor that stands for a mount tree, because its holder closes it. */
const tree = (): number => openSync('/dev/null', 'r');

describe('the calls', () => {
  it('of a tmpfs are one mount, nosuid and nodev, with all its bounds', () => {
    recording({ mount: 0 }, ({ calls }) => {
      mountTmpfs('/t', { sizeMb: 64, inodes: 1000, mode: 0o1777 });
      mountTmpfs('/u', { sizeMb: 1, inodes: 2, mode: 0o700, owner: { uid: 3, gid: 4 } });
      expect(calls).toEqual([
        ['mount', 'tmpfs', '/t', 'tmpfs', NOSUID_NODEV, 'size=64m,nr_inodes=1000,mode=1777'],
        ['mount', 'tmpfs', '/u', 'tmpfs', NOSUID_NODEV, 'size=1m,nr_inodes=2,mode=700,uid=3,gid=4'],
      ]);
    });
  });

  it('of a bind make the copy harmless before it is attached', () => {
    const fd = tree();
    recording({ open_tree: fd, mount_setattr: 0, move_mount: 0 }, ({ calls }) => {
      bindTree('/from', '/to', { readOnly: true });
      expect(calls).toEqual([
        ['open_tree', AT_FDCWD, '/from', 0x1 | 0o2000000 | 0x8000], // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
        ['mount_setattr', fd, '', 0x1000 | 0x8000, attributes(7), 32], // AT_EMPTY_PATH | AT_RECURSIVE; RDONLY, NOSUID, NODEV
        ['move_mount', fd, '', AT_FDCWD, '/to', 4],
      ]);
    });
    expect(() => closeSync(fd)).toThrow('EBADF');
  });

  it('of a copy end before it is attached, and leave out read-only where it is not asked for', () => {
    const fd = tree();
    recording({ open_tree: fd, mount_setattr: 0 }, ({ calls }) => {
      expect(cloneTree('/from', { readOnly: false })).toBe(fd);
      expect(calls.map(([name]) => name)).toEqual(['open_tree', 'mount_setattr']);
      expect(calls[1]?.[4]).toEqual(attributes(6));
    });
    closeSync(fd);
  });

  it('of a bind that fails attach nothing and leave no descriptor', () => {
    for (const failing of ['mount_setattr', 'move_mount'] as const) {
      const fd = tree();
      recording({ open_tree: fd, mount_setattr: 0, move_mount: 0, [failing]: { errno: EPERM } }, ({ calls }) => {
        expect(() => bindTree('/from', '/to', { readOnly: true })).toThrow(`${failing}: EPERM`);
        expect(calls.at(-1)?.[0]).toBe(failing);
      });
      expect(() => closeSync(fd)).toThrow('EBADF');
    }
  });

  it('of a change of flags or propagation are one mount', () => {
    recording({ mount: 0 }, ({ calls }) => {
      changeMount('/t', 32 | 4096 | 1);
      expect(calls).toEqual([['mount', null, '/t', null, 4129, null]]);
    });
  });

  it('of taking away follow no link, and what is no mount is no error', async () => {
    const detach = ['umount2', '/t', 2 | 8]; // MNT_DETACH | UMOUNT_NOFOLLOW
    await recording({ umount2: 0 }, async ({ calls }) => {
      await unmount('/t');
      expect(calls).toEqual([detach]);
    });
    for (const errno of [EINVAL, ENOENT]) await recording({ umount2: { errno } }, async () => unmount('/t'));
    await recording({ umount2: { errno: EBUSY } }, async () => expect(unmount('/t')).rejects.toThrow('umount2: EBUSY'));
  });
});

describe(`in a mount namespace of our own, as ${mode}`, () => {
  it('a tmpfs holds no more bytes and files than it may, has its mode and owner, and is gone afterwards', () => {
    const inside = mode === 'root' ? 0 : 1000;
    expect(enclosed('tmpfs').result).toEqual({
      options: ['nodev', 'nosuid', 'rw'],
      mode: '41770',
      full: 'ENOSPC',
      files: 6, // of eight inodes the root takes one and `big` another
      tooMany: 'ENOSPC',
      sizeMb: 16,
      owner: [inside, inside],
      after: [[], null],
    });
  });

  it('a bind shows what is mounted below too, and read-only holds there as well', () => {
    expect(enclosed('bind').result).toEqual({
      base: true,
      options: [
        ['nodev', 'nosuid', 'ro'],
        ['nodev', 'nosuid', 'ro'],
        ['nodev', 'nosuid', 'rw'],
      ],
      through: 'one',
      write: ['EROFS', 'EROFS', 'done', 'done'],
      seen: true,
    });
  });

  it('a copy of a tree does not get what is mounted later, and is attached nowhere', () => {
    expect(enclosed('clone').result).toEqual({ seen: [], attached: false, write: 'EROFS' });
  });

  it('taking a mount away takes what is below it, twice is no error, nor is a plain or a missing directory', () => {
    expect(enclosed('unmounting').result).toEqual({ left: false, again: 'done' });
  });

  it('a mount can be made to propagate', () => {
    expect(enclosed('propagation').result).toBe(true);
  });
});
