/** What is done for the store off the main thread. What goes in and comes out is plain data; descriptors are the process's. */
import { closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { openDirectory, type Fd } from '../../syscall/files.ts';
import type { Owner } from '../context/filework.ts';
import type { Progress } from '../context/lanes.ts';
import { Layer } from './layer.ts';
import { copyLayers, openLayers } from './layers.ts';
import { Pace } from '../pace.ts';
import { takeSnapshot, type SnapshotRequest, type Taken, type Tools } from './snapshot.ts';
import { partsOf, TABLE } from './snapshot-state.ts';
import { collectStore, type Bounds, type Collected, type CollectOptions } from './store-collection.ts';
import { enterKey } from './store-locks.ts';
import { keyOf, makeStore, refuseStore } from './store-place.ts';
import { Known, readTable } from './table.ts';

export type TakeErrand = Omit<SnapshotRequest, 'key' | 'store'> & { readonly store: string; readonly bounds: Bounds };

export interface MaterializeErrand {
  readonly layers: readonly string[];
  readonly destination: Fd;
  readonly owner: Owner;
}

export interface Errands {
  take(request: TakeErrand, tools: Tools): Promise<Taken>;
  collect(request: CollectOptions & { readonly store: string }, tools: Tools): Promise<Collected>;
  materialize(request: MaterializeErrand, tools: Tools): Promise<void>;
}

/** Errands as store.ts and materialize.ts ask for them. */
export const ERRANDS: Errands = {
  take: async ({ store, bounds, ...request }, tools) => {
    makeStore(store);
    refuseStore(request.path, store);
    const opened = openDirectory(store);
    try {
      const held = await enterKey(store, keyOf(request.path, request.rules), tools.pace);
      try {
        const take = (): Promise<Taken> => takeSnapshot({ ...request, key: held.path, store: opened }, tools);
        return await take().catch(unlessFull(async () => (await collectStore(store, { bounds, all: true }, tools.pace), take().catch(unlessFull(refuse)))));
      } finally {
        held.leave();
      }
    } finally {
      closeSync(opened);
    }
  },

  collect: ({ store, ...options }, { pace }) => collectStore(store, options, pace),

  materialize: async ({ layers: paths, destination, owner }, tools) => {
    const table = readTable(join(dirname(paths[0]!), TABLE));
    const layers = await openLayers(paths, tools.pace);
    try {
      const layer = new Layer(destination, owner, tools.pace);
      const isWhole = table !== null && (await copyLayers(layers, partsOf(table), layer, { owner, ...tools }));
      if (!isWhole) throw new SandboxError('INTERNAL', 'the snapshot of the context is damaged: `context.verify` in the policy finds and mends it');
      const known = new Known(table);
      await layer.finish((path) => ({ words: table.words, at: known.find(path) }));
    } catch (error) {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
      throw new SandboxError('DISK_FULL', 'the context does not fit: no space is left where it is copied to', { hint: DISK_HINT, cause: error });
    } finally {
      layers.close();
    }
  },
};

const DISK_HINT = 'name a smaller context, or use a policy that leaves more out of it or gives more `disk_mb`';

const unlessFull =
  <T>(otherwise: (error: unknown) => Promise<T>) =>
  (error: unknown): Promise<T> => {
    if (hasCode(error, 'ENOSPC', 'EDQUOT')) return otherwise(error);
    throw error;
  };

const refuse = (error: unknown): Promise<never> => {
  const hint = 'free space below the cache directory, or run `cellwall gc --all`';
  throw new SandboxError('HOST_FULL', 'the context cannot be copied: no space is left on the disk of the host', { hint, cause: error });
};

/** Performs an errand in this thread; the progress is told at most a few times a second. */
export const perform = <Kind extends keyof Errands>(
  kind: Kind,
  request: Parameters<Errands[Kind]>[0],
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): ReturnType<Errands[Kind]> => {
  let toldAt = performance.now();
  const tell = (progress: Progress): void => {
    if (performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    onProgress?.(progress);
  };
  const errand = ERRANDS[kind] as (request: Parameters<Errands[Kind]>[0], tools: Tools) => ReturnType<Errands[Kind]>;
  return errand(request, { pace: new Pace(signal), signal, onProgress: onProgress && tell });
};

/** between two words about the progress, in `ms` */
const TELL_MS = 100;
