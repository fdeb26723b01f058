import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { call } from '../../src/syscall/call.ts';
import { MNT_DETACH, MS_BIND } from '../../src/syscall/constants.ts';
import { mountTmpfs } from '../../src/syscall/mounts.ts';
import { give } from '../requirements.ts';
import { copyTree, makeTree, namesIn, newDirectory, reasonsOf } from './trees.ts';

/** Runs with mounts of this machine's, which are undone in the reverse order. */
const withMounts = async (mounts: readonly { at: string; mount: () => void }[], run: () => Promise<void>): Promise<void> => {
  const mounted: string[] = [];
  try {
    for (const { at, mount } of mounts) {
      mount();
      mounted.push(at);
    }
    await run();
  } finally {
    for (const at of mounted.toReversed()) call('umount2', at, MNT_DETACH);
  }
};
const bind = (from: string, at: string) => ({ at, mount: () => void call('mount', from, at, null, MS_BIND, null) });
const tmpfs = (at: string, inodes: number) => ({ at, mount: () => mountTmpfs(at, { sizeMb: 1, inodes, mode: 0o755 }) });
const mayMount = process.getuid?.() === 0;

describe('a mount', () => {
  it('below the context is not entered: a tmpfs, a directory of the same file system, a single file', async ({ skip }) => {
    if (!mayMount) give('only root mounts', 'mounts below the context', skip);
    const other = makeTree({ secret: 'of another place' });
    const source = makeTree({ tmp: {}, same: { own: '' }, file: '', d: { below: {} }, own: '' });
    const mounts = [tmpfs(`${source}/tmp`, 100), bind(other, `${source}/same`), bind(`${other}/secret`, `${source}/file`), bind(other, `${source}/d/below`)];
    await withMounts(mounts, async () => {
      writeFileSync(`${source}/tmp/inside`, '');
      const copy = await copyTree(source);
      expect(reasonsOf(copy)).toEqual({ tmp: 'mount point', same: 'mount point', file: 'mount point', 'd/below': 'mount point' });
      expect(namesIn(copy.path)).toEqual(['d/', 'own']);
    });
  });

  it('that is the context itself is copied', async ({ skip }) => {
    if (!mayMount) give('only root mounts', 'a mount as context', skip);
    const source = newDirectory();
    await withMounts([tmpfs(source, 100)], async () => {
      writeFileSync(`${source}/inside`, 'x');
      expect(namesIn((await copyTree(source)).path)).toEqual(['inside']);
    });
  });

  it('that is full ends the copy with the reason', async ({ skip }) => {
    if (!mayMount) give('only root mounts', 'a full destination', skip);
    const full = { code: 'DISK_FULL', message: expect.stringContaining('no space is left'), hint: expect.stringContaining('disk_mb') };
    for (const tree of [
      { big: Buffer.alloc(3_000_000) },
      { small: { a: Buffer.alloc(400_000), b: Buffer.alloc(400_000), c: Buffer.alloc(400_000) } },
      Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`d${index}`, {}])),
    ]) {
      const destination = newDirectory();
      await withMounts([tmpfs(destination, 30)], async () => {
        await expect(copyTree(makeTree(tree), { destination })).rejects.toMatchObject(full);
      });
    }
  });
});
