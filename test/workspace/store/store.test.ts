import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { log } from '../../../src/log.ts';
import { openDirectory } from '../../../src/syscall/files.ts';
import { mountTmpfs, unmount } from '../../../src/syscall/mounts.ts';
import { tryKey } from '../../../src/workspace/store/store-locks.ts';
import { materialize, type Snapshot } from '../../../src/workspace/store/store.ts';
import { readTable, writeTable } from '../../../src/workspace/store/table.ts';
import { give } from '../../requirements.ts';
import { idsOf, keysIn, mergedTree, newStore, statesIn, type TestStore } from '../snapshots.ts';
import { linkTo, makeTree, namesIn, newDirectory, readTree } from '../trees.ts';

const NEVER = new AbortController().signal;
const isRoot = process.getuid?.() === 0;
const MANY = 1_000_000_000;

/** Says that a context was used longer ago than those that are used from now on. */
const age = ({ layers }: Snapshot, seconds: number): void => {
  const lock = join(dirname(dirname(layers[0]!)), 'lock');
  utimesSync(lock, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
};
const isThere = ({ layers }: Snapshot): boolean => layers.every((layer) => existsSync(layer));
const namesOf = (store: TestStore): string[] => keysIn(store).flatMap((key) => namesIn(key)).filter((name) => name.startsWith('.')); // prettier-ignore

describe('what is beyond the bounds is removed', () => {
  it('in number: the context that was not used for longest', async () => {
    const store = newStore({ contexts: 2, bytes: MANY });
    const [first, second] = [await store.pass(makeTree({ a: '1' })), await store.pass(makeTree({ a: '2' }))];
    age(first, 100);
    age(second, 200);
    const third = await store.pass(makeTree({ a: '3' }));
    await store.collect(false);
    expect([first, second, third].map(isThere)).toEqual([true, false, true]);
  });

  it('in bytes, and what is used stays whatever its age', async () => {
    const store = newStore({ contexts: 9, bytes: 100_000 });
    const first = await store.take(makeTree({ a: 'x'.repeat(80_000) }));
    age(first, 300);
    const second = await store.pass(makeTree({ a: 'y'.repeat(10_000) }));
    age(second, 200);
    const third = await store.pass(makeTree({ a: 'z'.repeat(50_000) }));
    expect(await store.collect(false)).toMatchObject({ kept: 1 });
    expect([first, second, third].map(isThere)).toEqual([true, false, false]);
    first.release();
    expect(await store.collect(false)).toMatchObject({ removed: 0, kept: 1 });
    expect(Object.keys(await mergedTree(await store.pass(makeTree({ d: {} }))))).toEqual(['d']);
  });

  it('in states: those that nobody can come back to', async () => {
    const store = newStore();
    const source = makeTree({ a: '', b: '' });
    const held = await store.take(source);
    for (let change = 0; change < 9; change++) {
      rmSync(`${source}/a`);
      makeTree({ a: 'x'.repeat(20_000 * (change + 1)) }, source);
      await store.pass(source);
    }
    await store.collect(false);
    const current = await store.pass(source);
    expect(statesIn(store).toSorted()).toEqual([...new Set([...idsOf(held), ...idsOf(current)])].toSorted());
    held.release();
    await store.collect(false);
    expect(statesIn(store).toSorted()).toEqual(idsOf(current).toSorted());
  });
});

describe('everything that nobody uses is removed', () => {
  it('when that is asked for, and counted', async () => {
    const store = newStore();
    const used = await store.take(makeTree({ a: 'x' }));
    const source = makeTree({ b: 'y'.repeat(10_000) });
    await store.pass(source);
    makeTree({ c: '' }, source);
    await store.pass(source);
    await store.collect(false);
    const { removed, bytes, kept } = await store.collect(true);
    expect([removed, kept, bytes > 10_000 && bytes < 20_000]).toEqual([2, 1, true]);
    expect(statesIn(store)).toEqual(idsOf(used));
    used.release();
    expect(await store.collect(true)).toMatchObject({ removed: 1, kept: 0 });
    expect(namesIn(store.directory)).toEqual([]);
    expect(await newStore(undefined, `${store.directory}/nothing`).collect(true)).toEqual({ removed: 0, bytes: 0, kept: 0 });
  });

  it('but what somebody is taking just now', async () => {
    const store = newStore();
    await store.pass(makeTree({ a: 'x' }));
    await store.collect(false);
    const held = tryKey(store.directory, keysIn(store)[0]!.split('/').at(-1)!)!;
    expect(await store.collect(true)).toMatchObject({ removed: 0, kept: 1 });
    held.leave();
    expect(await store.collect(true)).toMatchObject({ removed: 1, kept: 0 });
  });

  it('whatever the modes of its directories', async () => {
    const store = newStore();
    const source = makeTree({ d: { e: { f: 'x' } } });
    for (const path of ['d/e', 'd']) lstatSync(`${source}/${path}`);
    const snapshot = await store.pass(source);
    rmSync(`${source}/d/e/f`);
    await store.pass(source);
    await store.collect(true);
    expect(isThere(snapshot)).toBe(false);
  });
});

describe('a snapshot that is damaged', () => {
  const damages: readonly [what: string, damage: (layer: string) => void][] = [
    ['a changed byte', (layer) => writeFileSync(`${layer}/a`, 'X')],
    ['a file that is cut short', (layer) => truncateSync(`${layer}/d/b`, 1)],
    ['a file that is gone', (layer) => unlinkSync(`${layer}/d/b`)],
    ['a file more', (layer) => writeFileSync(`${layer}/d/more`, '')],
    ['another time', (layer) => utimesSync(`${layer}/d`, 1, 1)],
    ['another link', (layer) => (unlinkSync(`${layer}/l`), makeTree({ l: linkTo('A') }, layer))],
    ['a directory in the place of a file', (layer) => (unlinkSync(`${layer}/a`), mkdirSync(`${layer}/a`))],
  ];
  const source = () => makeTree({ a: 'x', d: { b: 'yy' }, l: linkTo('a') });

  for (const [what, damage] of damages) {
    it(`by ${what} is made anew when the policy asks for it to be verified`, async () => {
      const warn = vi.spyOn(log, 'warn').mockReturnValue();
      const [store, context] = [newStore(), source()];
      const first = await store.pass(context);
      damage(first.layers[0]!);
      expect((await store.pass(context)).layers).toEqual(first.layers);
      expect(warn).not.toHaveBeenCalled();
      const second = await store.pass(context, { verify: true });
      expect(second.layers).not.toEqual(first.layers);
      expect(await mergedTree(second)).toEqual(readTree(context));
      expect(second.facts).toEqual(first.facts);
      expect(warn).toHaveBeenCalledOnce();
      expect((await store.pass(context, { verify: true })).layers).toEqual(second.layers);
      warn.mockRestore();
    });
  }

  it('below its uppermost layer, too, and a whiteout that is gone is damage', async () => {
    const warn = vi.spyOn(log, 'warn').mockReturnValue();
    const [store, context] = [newStore(), source()];
    await store.pass(context);
    rmSync(`${context}/a`);
    const { layers } = await store.pass(context);
    unlinkSync(`${layers[0]}/a`);
    const mended = await store.pass(context, { verify: true });
    expect(await mergedTree(mended)).toEqual(readTree(context));
    expect([layers.length, mended.layers.length]).toEqual([2, 1]);
    warn.mockRestore();
  });

  it('is found without being asked for once after the machine has started, because power may have been lost', async () => {
    const warn = vi.spyOn(log, 'warn').mockReturnValue();
    const [store, context] = [newStore(), source()];
    const first = await store.pass(context);
    const path = join(dirname(first.layers[0]!), 'table');
    const table = readTable(path)!;
    const restart = (): void => {
      unlinkSync(path);
      writeTable(path, { ...table, head: { ...table.head, boot: 'another' } });
    };
    restart();
    expect((await store.pass(context)).layers).toEqual(first.layers);
    expect(readTable(path)!.head.boot).toBe(table.head.boot);
    writeFileSync(`${first.layers[0]}/a`, '');
    restart();
    expect(await mergedTree(await store.pass(context))).toEqual(readTree(context));
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it('in its list, or is of another context, is not used', async () => {
    const [store, context] = [newStore(), source()];
    for (const spoil of [
      (path: string) => truncateSync(path, 60),
      (path: string) => rmSync(path),
      (path: string) => {
        const table = readTable(path)!;
        unlinkSync(path);
        writeTable(path, { ...table, head: { ...table.head, context: '/elsewhere' } });
      },
    ]) {
      const { layers } = await store.pass(context);
      spoil(join(dirname(layers[0]!), 'table'));
      const next = await store.pass(context);
      expect(next.layers).not.toEqual(layers);
      expect(await mergedTree(next)).toEqual(readTree(context));
    }
  });

  it('is not copied into a workspace', async () => {
    const [store, context] = [newStore(), source()];
    const { layers } = await store.pass(context);
    writeFileSync(`${layers[0]}/d/b`, 'zz');
    const destination = openDirectory(newDirectory());
    await expect(materialize({ layers }, destination, null, { signal: NEVER })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('damaged'),
    });
    closeSync(destination);
  });
});

describe('two who take the same context at once', () => {
  it('get the same snapshot, the second after the first', async () => {
    const directory = join(newDirectory(), 'snapshots');
    const context = makeTree(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`f${index}`, `${index}`])));
    const stores = [newStore(undefined, directory), newStore(undefined, directory), newStore(undefined, directory)];
    const snapshots = await Promise.all(stores.map((store) => store.pass(context)));
    expect(new Set(snapshots.map(({ layers }) => layers.join())).size).toBe(1);
    expect(statesIn({ directory })).toHaveLength(1);
  });

  it('wait for each other without keeping the event loop, and can give up', async () => {
    const [store, context] = [newStore(), makeTree({ a: 'x' })];
    await store.pass(context);
    const held = tryKey(store.directory, keysIn(store)[0]!.split('/').at(-1)!)!;
    const abort = new AbortController();
    const waiting = store.take(context, { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
    const next = store.pass(context);
    setImmediate(() => held.leave());
    expect(Object.keys(await mergedTree(await next))).toEqual(['a']);
  });
});

describe('a take that ends early', () => {
  it('leaves nothing behind when it is canceled, and what was there is what it was', async () => {
    const [store, context] = [newStore(), makeTree({ a: 'x' })];
    const first = await store.pass(context);
    makeTree({ d: Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`f${index}`, 'x'.repeat(5000)])) }, context);
    for (const turns of [0, 1, 3, 6]) {
      const abort = new AbortController();
      const canceled = store.take(context, { signal: abort.signal });
      const count = (left: number): void => void setImmediate(() => (left > 0 ? count(left - 1) : abort.abort()));
      count(turns);
      await canceled.catch((error: unknown) => expect(error).toMatchObject({ code: 'CANCELED' }));
    }
    await expect(store.take(context, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELED' });
    expect(namesOf(store)).toEqual([]);
    expect(Object.keys(await mergedTree(first))).toEqual(['a']);
  });

  it('says when the disk of the host is full, after removing what nobody uses', async ({ skip }) => {
    if (!isRoot) give('only root mounts', 'full disk', skip);
    const place = newDirectory();
    mountTmpfs(place, { sizeMb: 1, inodes: 1000, mode: 0o700 });
    try {
      const store = newStore(undefined, join(place, 'snapshots'));
      const old = await store.pass(makeTree({ a: 'x'.repeat(700_000) }));
      await store.collect(false);
      const fits = await store.pass(makeTree({ b: 'y'.repeat(700_000) }));
      expect([isThere(old), isThere(fits)]).toEqual([false, true]);
      await expect(store.take(makeTree({ c: 'z'.repeat(2_000_000) }))).rejects.toMatchObject({ code: 'HOST_FULL', hint: expect.stringContaining('gc --all') });
      expect(namesOf(store)).toEqual([]);
    } finally {
      await unmount(place);
    }
  });

  it('and left a part of a state has it removed by who comes next', async () => {
    const [store, context] = [newStore(), makeTree({ a: 'x' })];
    await store.pass(context);
    mkdirSync(`${keysIn(store)[0]}/.new-dead/files/d`, { recursive: true });
    closeSync(openSync(`${keysIn(store)[0]}/.new-file`, 'w'));
    makeTree({ b: '' }, context);
    await store.pass(context);
    await store.collect(false);
    expect(namesOf(store)).toEqual([]);
  });
});

void [readFileSync, renameSync];
