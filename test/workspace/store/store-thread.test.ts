/** The store as the server has it: built, with its work in a thread of its own, and several processes at a time. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { SandboxError } from '../../../src/errors.ts';
import type { Progress } from '../../../src/workspace/context/lanes.ts';
import type { openSnapshots } from '../../../src/workspace/store/store.ts';
import { idsOf, keysIn, mergedTree, newStore, statesIn, type TestStore } from '../snapshots.ts';
import { linkTo, makeTree, newDirectory, readTree } from '../trees.ts';

const FIXTURE = new URL('../../fixtures/take-snapshots.mjs', import.meta.url).pathname;
const MANY = 700;
const manyFiles = (mark: string): Record<string, string> => Object.fromEntries(Array.from({ length: MANY }, (_, index) => [`f${index}`, `${mark}${index}`]));

let built: { readonly openSnapshots: typeof openSnapshots };
beforeAll(async () => {
  built = (await import(new URL('../../../dist/src/workspace/store/store.js', import.meta.url).href)) as typeof built;
});
const newBuiltStore = (directory?: string): TestStore => newStore(undefined, directory, built.openSnapshots);

describe('in a thread of its own', () => {
  it('many files are copied in several lanes, and what has changed is the next layer', async () => {
    const source = makeTree({ d: manyFiles('a'), e: { ...manyFiles('b'), l: linkTo('f1') }, big: Buffer.alloc(3_000_000, 'some content ') });
    const store = newBuiltStore();
    const first = await store.take(source);
    expect(await mergedTree(first)).toEqual(readTree(source));
    writeFileSync(`${source}/d/f7`, 'another');
    rmSync(`${source}/e`, { recursive: true });
    const second = await store.take(source);
    expect(second.layers.slice(1)).toEqual(first.layers);
    expect(await mergedTree(second)).toEqual(readTree(source));
    expect((await newStore(undefined, store.directory).take(source)).layers).toEqual(second.layers);
  });

  it('the progress is told a few times, and goes up to the end', async () => {
    const told: Progress[] = [];
    const source = makeTree(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, Buffer.alloc(4_000_000, `${index}`)])));
    await newBuiltStore().pass(source, { rules: { maxBytes: 1e9 }, onProgress: (progress) => told.push(progress) });
    for (const [index, { files, bytes }] of told.entries()) {
      expect(files).toBeGreaterThan(told[index - 1]?.files ?? 0);
      expect([files <= 40, bytes]).toEqual([true, files * 4_000_000]);
    }
  });

  it('a refusal comes back as what it is, and the thread stays', async () => {
    const store = newBuiltStore();
    const refused = store.take(makeTree(manyFiles('a')), { rules: { maxFiles: 3 } });
    await expect(refused).rejects.toMatchObject({ code: 'CONTEXT_TOO_LARGE', hint: expect.stringContaining('name a smaller directory'), retryable: false });
    const canceled = new AbortController();
    const waiting = store.take(makeTree(manyFiles('a')), { signal: canceled.signal });
    canceled.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
    await expect(store.take(makeTree({}), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELED', name: SandboxError.name });
    expect((await store.take(makeTree({ a: 'x' }))).facts.files).toBe(1);
  });
});

describe('several processes', () => {
  const start = (directory: string, context: string): { process: ChildProcess; take(): void; layers: AsyncIterator<string> } => {
    const child = spawn(process.execPath, [FIXTURE, directory, context], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdin.on('error', () => {});
    return { process: child, take: () => void child.stdin.write('\n'), layers: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  };
  const nextOf = async ({ layers }: { layers: AsyncIterator<string> }): Promise<string[]> => JSON.parse((await layers.next()).value) as string[];

  it('that take the same context at once get the same snapshot, and keep it until they die', async () => {
    const [directory, context] = [join(newDirectory(), 'snapshots'), makeTree(manyFiles('a'))];
    const servers = [start(directory, context), start(directory, context)];
    for (const server of servers) server.take();
    const [first, second] = [await nextOf(servers[0]!), await nextOf(servers[1]!)];
    expect(first).toEqual(second);
    const store = newStore(undefined, directory);
    expect(await mergedTree({ layers: first })).toEqual(readTree(context));
    expect(await store.collect(true)).toMatchObject({ removed: 0, kept: 1 });
    for (const { process: child } of servers) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(await store.collect(true)).toMatchObject({ removed: 1, kept: 0 });
  });

  const draftsIn = (store: TestStore): string[] =>
    keysIn(store).flatMap((key) => readdirSync(key).filter((name) => name.startsWith('.new-')).map((name) => join(key, name))); // prettier-ignore
  const copiedIn = (store: TestStore): number =>
    Math.max(-1, ...draftsIn(store).map((path) => (existsSync(`${path}/files/d`) ? readdirSync(`${path}/files/d`).length : -1)));
  const moments: readonly [what: string, isNow: (store: TestStore) => boolean][] = [
    ['when it has begun', (store) => draftsIn(store).length > 0],
    ['after some files', (store) => copiedIn(store) >= 64],
    ['after most files', (store) => copiedIn(store) >= MANY - 64],
    ['when the list is written', (store) => draftsIn(store).some((path) => existsSync(`${path}/table`)) || statesIn(store).length > 1],
    ['when it is published', (store) => statesIn(store).length > 1],
  ];

  for (const [what, isNow] of moments) {
    it(`one of which is killed ${what} leave the old snapshot or the new one, never a half`, async () => {
      const [directory, context] = [join(newDirectory(), 'snapshots'), makeTree({ d: manyFiles('a') })];
      const store = newStore(undefined, directory);
      const old = await store.take(context);
      const before = readTree(context);
      const current = (): string => readFileSync(`${keysIn(store)[0]}/current`, 'utf8');
      const first = current();
      makeTree({ d: manyFiles('another ') }, context);
      const server = start(directory, context);
      server.take();
      while (!isNow(store) && current() === first) await setImmediate();
      server.process.kill('SIGKILL');
      await once(server.process, 'exit');
      const left = current();
      expect(await mergedTree(old)).toEqual(before);
      const next = await store.take(context);
      expect(await mergedTree(next)).toEqual(readTree(context));
      if (left !== first) expect(idsOf(next)[0]).toBe(left);
      await store.collect(false);
      expect(draftsIn(store)).toEqual([]);
      expect(statesIn(store).toSorted()).toEqual([...new Set([...idsOf(old), ...idsOf(next)])].toSorted());
    });
  }
});
