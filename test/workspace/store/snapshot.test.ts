import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { give } from '../../requirements.ts';
import { expectedList, idsOf, keysIn, listed, mergedTree, mountedTree, newStore, statesIn } from '../snapshots.ts';
import { applyChange, changes, trees } from '../treechanges.ts';
import { copyTree, linkTo, makeTree, newDirectory, readTree, reasonsOf, stamp } from '../trees.ts';

const isRoot = process.getuid?.() === 0;
const HOUR_MS = 3_600_000;
const PRIVATE_KEY = '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n';

/** Makes everything look as if it had been written long ago, so that only facts tell whether a file has changed. */
const pretendLater = (): void => void vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOUR_MS });
afterEach(() => void vi.useRealTimers());

/** Waits for the kernel's clock to go on: two changes within one of its ticks may have the same time. */
const nextTick = (place: string): void => {
  const probe = (): bigint => (writeFileSync(place, ''), statSync(place, { bigint: true }).ctimeNs);
  for (const first = probe(); probe() === first;);
};

describe('a snapshot', () => {
  const isTree = async (read: typeof mergedTree, runs: number) => {
    await fc.assert(
      fc.asyncProperty(trees, fc.array(fc.array(changes, { maxLength: 4 }), { minLength: 1, maxLength: 12 }), async (tree, rounds) => {
        const source = makeTree(tree);
        const store = newStore();
        await store.pass(source);
        for (const round of rounds) {
          nextTick(`${newDirectory()}/probe`);
          for (const change of round) applyChange(source, change);
          const snapshot = await store.take(source);
          const wanted = readTree(source);
          expect(await read(snapshot)).toEqual(wanted);
          expect(await listed(snapshot)).toEqual(expectedList(wanted));
          expect(snapshot.layers.length).toBeLessThanOrEqual(8);
          snapshot.release();
        }
        const { path: _, ...facts } = await copyTree(source);
        expect((await store.pass(source)).facts).toEqual(facts);
      }),
      { numRuns: runs },
    );
  };

  it('is the tree after whatever changes: names, modes, times, contents, links, and what its manifest says', { timeout: 300_000 }, () =>
    isTree(mergedTree, 15),
  );

  it('is the tree also where only times tell what has changed', { timeout: 300_000 }, async () => {
    pretendLater();
    await isTree(mergedTree, 15);
  });

  it('is the tree to the kernel, which mounts its layers', { timeout: 300_000 }, async ({ skip }) => {
    if (!isRoot) give('only root mounts', 'overlay', skip);
    await isTree(mountedTree, 10);
  });

  it('of what has not changed is the one that is there, and nothing is written', async () => {
    const store = newStore();
    const source = makeTree({ a: 'x', d: { b: 'y', l: linkTo('b') }, '.env': '', key: PRIVATE_KEY });
    pretendLater();
    const first = await store.pass(source);
    const table = `${keysIn(store)[0]}/${idsOf(first)[0]}/table`;
    const before = statSync(table).ino;
    const again = await store.pass(source);
    expect([again.layers, again.facts, statSync(table).ino]).toEqual([first.layers, first.facts, before]);
    expect(reasonsOf(again.facts)).toEqual({ '.env': 'secret', key: 'secret' });
  });

  it('of a change holds that change alone in a layer of its own', async () => {
    const store = newStore();
    const source = makeTree({ a: 'x', d: { b: 'y', c: 'z', e: { f: '' } } });
    const first = await store.pass(source);
    stamp(`${source}/d`, null, 5n);
    writeFileSync(`${source}/d/b`, 'new');
    rmSync(`${source}/d/e`, { recursive: true });
    const second = await store.pass(source);
    expect(second.layers.slice(1)).toEqual(first.layers);
    expect(readdirSync(second.layers[0]!, { recursive: true, encoding: 'utf8' }).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['d', 'd/b', 'd/e']);
    expect(lstatSync(`${second.layers[0]}/d/e`)).toMatchObject({ rdev: 0 });
    expect(lstatSync(`${second.layers[0]}/d/e`).isCharacterDevice()).toBe(true);
  });

  it('of a file whose facts changed and nothing else is the one that is there', async () => {
    const store = newStore();
    const source = makeTree({ a: 'x', b: 'y' });
    pretendLater();
    const first = await store.pass(source);
    const { mode, mtimeNs } = statSync(`${source}/a`, { bigint: true });
    const { mtimeNs: above } = statSync(source, { bigint: true });
    rmSync(`${source}/a`);
    makeTree({ a: 'x' }, source);
    stamp(`${source}/a`, Number(mode) & 0o777, mtimeNs);
    stamp(source, null, above);
    expect((await store.pass(source)).layers).toEqual(first.layers);
  });

  it('never has more than eight layers: those above the lowest become one', async () => {
    const store = newStore();
    const source = makeTree({ 'never changes': 'x'.repeat(50_000), d: { a: '' } });
    const seen: number[] = [];
    const [lowest] = idsOf(await store.pass(source));
    for (let change = 1; change <= 16; change++) {
      writeFileSync(`${source}/d/${change}`, String(change));
      if (change % 3 === 0) rmSync(`${source}/d/${change - 2}`);
      const snapshot = await store.pass(source);
      seen.push(snapshot.layers.length);
      expect(idsOf(snapshot).at(-1)).toBe(lowest);
      expect(await mergedTree(snapshot)).toEqual(readTree(source));
    }
    expect(seen).toEqual([2, 3, 4, 5, 6, 7, 8, 2, 3, 4, 5, 6, 7, 8, 2, 3]);
  });

  it('gives its lowest layer up when most of it is hidden', async () => {
    const store = newStore();
    const source = makeTree({ a: 'x'.repeat(50_000), b: 'y'.repeat(50_000) });
    await store.pass(source);
    for (let change = 1; change <= 8; change++) {
      writeFileSync(`${source}/${'ab'[change % 2]}`, String(change).repeat(50_000));
      const snapshot = await store.pass(source);
      expect(await mergedTree(snapshot)).toEqual(readTree(source));
      expect(snapshot.layers.length).toBe(change < 8 ? change + 1 : 1);
    }
    await store.collect(false);
    expect(statesIn(store)).toHaveLength(1);
  });
});

describe('what a context does not give', () => {
  it('is gone from the next snapshot when it has become a secret, and comes back', async () => {
    const store = newStore();
    const source = makeTree({ deploy: 'a script', other: '' });
    expect(Object.keys(await mergedTree(await store.pass(source)))).toEqual(['deploy', 'other']);
    writeFileSync(`${source}/deploy`, PRIVATE_KEY);
    const second = await store.pass(source);
    expect(reasonsOf(second.facts)).toEqual({ deploy: 'secret' });
    expect(Object.keys(await mergedTree(second))).toEqual(['other']);
    expect([...(await second.manifest()).keys()]).toEqual(['other']);
    writeFileSync(`${source}/deploy`, 'a script');
    expect(Object.keys(await mergedTree(await store.pass(source)))).toEqual(['deploy', 'other']);
  });

  it('is told anew when a name that is left out comes or goes, though the tree is the same', async () => {
    const store = newStore();
    const source = makeTree({ a: '' });
    const first = await store.pass(source);
    makeTree({ '.env': '' }, source);
    const second = await store.pass(source);
    expect([second.layers, second.facts.skippedCount]).toEqual([first.layers, 1]);
    rmSync(`${source}/.env`);
    expect((await store.pass(source)).facts).toEqual(first.facts);
  });

  it('is the store, where it lies in the context, whatever the path that leads to it', async () => {
    const source = makeTree({ a: 'x', cache: {} });
    const store = newStore(undefined, `${source}/cache/snapshots`);
    const snapshot = await store.pass(source);
    expect(reasonsOf(snapshot.facts)).toEqual({ 'cache/snapshots': 'snapshots of contexts' });
    renameSync(`${source}/cache`, `${source}/moved`);
    const moved = await newStore(undefined, `${source}/moved/snapshots`).pass(source);
    expect(Object.keys(await mergedTree(moved))).toEqual(['a', 'moved']);
  });
});

it('a context in the store is refused', async () => {
  const store = newStore();
  const { layers } = await store.pass(makeTree({ d: { a: 'x' } }));
  await expect(store.take(`${layers[0]}/d`)).rejects.toMatchObject({ code: 'CONTEXT_REFUSED', message: expect.stringContaining('snapshots of contexts') });
});

it('contexts and rules have snapshots of their own', async () => {
  const store = newStore();
  const source = makeTree({ a: 'x', 'b.sql': '' });
  const without = await store.pass(source, { rules: { exclude: ['*.sql'] } });
  const all = await store.pass(source);
  expect([without, all].map(({ facts }) => facts.files)).toEqual([1, 2]);
  expect(keysIn(store)).toHaveLength(2);
  expect((await store.pass(source, { rules: { exclude: ['*.sql'], maxFiles: 7 } })).layers).toEqual(without.layers);
});

it('what root stores belongs to the one who is agent inside, below a directory that only root enters', async ({ skip }) => {
  if (!isRoot) give('only root gives files away', 'owner', skip);
  const store = newStore();
  const source = makeTree({ a: 'x', d: { l: linkTo('../a') } });
  await store.pass(source);
  rmSync(`${source}/a`);
  mkdirSync(`${source}/e`);
  const { layers } = await store.pass(source);
  const owners = layers.flatMap((layer) => ['.', ...readdirSync(layer, { recursive: true, encoding: 'utf8' })].map((name) => lstatSync(`${layer}/${name}`)));
  expect(owners.map(({ uid, gid }) => `${uid}:${gid}`).filter((owner) => owner !== '1000:1000')).toEqual([]);
  expect(statSync(store.directory).mode & 0o777).toBe(0o700);
});

it('a store that others may enter or that belongs to another is not used', async () => {
  const store = newStore();
  mkdirSync(store.directory);
  chmodSync(store.directory, 0o755);
  await expect(store.take(makeTree({}))).rejects.toThrow('expected a directory of user');
});
