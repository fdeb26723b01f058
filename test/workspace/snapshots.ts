/** Stores of snapshots for tests: taken, looked at as a whole, and let go of when the test is over. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openDirectory, type Fd } from '../../src/syscall/files.ts';
import { mountOverlay, unmount } from '../../src/syscall/mounts.ts';
import type { Manifest, ManifestEntry } from '../../src/workspace/manifest.ts';
import type { Bounds } from '../../src/workspace/store/store-collection.ts';
import { materialize, openSnapshots, type Snapshot, type SnapshotStore, type TakeOptions } from '../../src/workspace/store/store.ts';
import { newDirectory, NO_ROOTS, readTree } from './trees.ts';

const NEVER = new AbortController().signal;
const RULES = { exclude: [], include: [], maxFiles: 20_000, maxBytes: 100_000_000 };

type Options = Partial<Omit<TakeOptions, 'rules'>> & { rules?: Partial<TakeOptions['rules']>; signal?: AbortSignal };

export interface TestStore extends Pick<SnapshotStore, 'collect'> {
  readonly directory: string;
  take(context: string, options?: Options): Promise<Snapshot>;
  /** The same, let go of at once. */
  pass(context: string, options?: Options): Promise<Snapshot>;
}

/** A store in a new directory, or in one that is given. */
export const newStore = (bounds?: Bounds, directory = join(newDirectory(), 'snapshots'), open: typeof openSnapshots = openSnapshots): TestStore => {
  const store = open(directory, bounds);
  const take: TestStore['take'] = async (context, { rules, signal, ...options } = {}) => {
    const fd = openDirectory(context);
    try {
      const snapshot = await store.take(
        { fd, path: context },
        { allowed: NO_ROOTS, verify: false, ...options, rules: { ...RULES, ...rules } },
        signal ?? NEVER,
      );
      onTestFinished(() => snapshot.release());
      return snapshot;
    } finally {
      closeSync(fd);
    }
  };
  const pass: TestStore['pass'] = async (context, options) => {
    const snapshot = await take(context, options);
    snapshot.release();
    return snapshot;
  };
  return { directory, take, pass, collect: (all) => store.collect(all) };
};

/** What the layers of a snapshot come to, as `materialize` copies it. */
export const mergedTree = async ({ layers }: Pick<Snapshot, 'layers'>): Promise<Record<string, string>> => {
  const destination = newDirectory();
  const fd = openDirectory(destination);
  try {
    await materialize({ layers }, fd, null, { signal: NEVER });
    return readTree(destination);
  } finally {
    closeSync(fd);
  }
};

/** What the kernel makes of the layers of a snapshot. Only root can ask for it. */
export const mountedTree = async ({ layers }: Pick<Snapshot, 'layers'>): Promise<Record<string, string>> => {
  const place = mkdtempSync(join(tmpdir(), 'cellwall-overlay-'));
  onTestFinished(() => rmdirSync(place));
  const tree = join(place, 'tree');
  const own = newDirectory();
  for (const path of [tree, join(own, 'upper'), join(own, 'work')]) mkdirSync(path);
  const [upper, work, ...lower] = [join(own, 'upper'), join(own, 'work'), ...layers].map(openDirectory) as [Fd, Fd, ...Fd[]];
  try {
    mountOverlay(tree, { lower, upper, work, options: [] });
  } finally {
    for (const fd of [upper, work, ...lower]) closeSync(fd);
  }
  try {
    return readTree(tree);
  } finally {
    await unmount(tree);
    rmdirSync(tree);
  }
};

/** The manifest of a snapshot, an entry a line. */
export const listed = async (snapshot: Snapshot): Promise<Record<string, string>> =>
  Object.fromEntries(
    entriesOf(await snapshot.manifest()).map(([path, { type, mode, mtimeNs, size, sha256 }]) => [
      path,
      `${type} ${mode.toString(8)} ${mtimeNs} ${size} ${sha256}`,
    ]),
  );

const entriesOf = (manifest: Manifest): [string, ManifestEntry][] => [...manifest.keys()].map((path) => [path, manifest.get(path)!]);

/** What a manifest has to say of a tree that `readTree` read. */
export const expectedList = (tree: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(tree).map(([path, what]) => {
      const [, link, linkTime, target] = /^(link) (-?\d+) ([^]*)$/.exec(what) ?? [];
      const [, kind, mode, time, content = ''] = /^(file|directory) ([0-7]+) (-?\d+) ?([^]*)$/.exec(what) ?? [];
      const held = target ?? content;
      const sha256 = createHash('sha256').update(held, 'latin1').digest('hex');
      return [path, `${link === undefined ? `${kind} ${mode} ${time}` : `symlink 777 ${linkTime}`} ${held.length} ${sha256}`];
    }),
  );

/** Directories of the contexts in a store. */
export const keysIn = ({ directory }: Pick<TestStore, 'directory'>): string[] =>
  existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith('.')).map((name) => join(directory, name)) : []; // prettier-ignore

/** Ids of the states in a store. */
export const statesIn = (store: Pick<TestStore, 'directory'>): string[] =>
  keysIn(store).flatMap((key) => readdirSync(key).filter((name) => existsSync(join(key, name, 'state'))));

/** Ids of the states that a snapshot's layers belong to. */
export const idsOf = ({ layers }: Pick<Snapshot, 'layers'>): string[] => layers.map((layer) => basename(dirname(layer)));
