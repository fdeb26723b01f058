/**
 * The store of snapshots: contexts of the host, copied once and shared by all sandboxes and all servers of this user. What has not changed since the last
 * copy is not copied again. Nothing in it changes while somebody uses it.
 */
import { closeSync } from 'node:fs';
import { log } from '../../log.ts';
import type { Fd } from '../../syscall/files.ts';
import type { ContextCopy } from '../context/context.ts';
import type { Owner } from '../context/filework.ts';
import type { Progress } from '../context/lanes.ts';
import type { Base } from '../manifest.ts';
import { Pace } from '../pace.ts';
import type { AllowedRoots, OpenedContext } from '../roots.ts';
import type { ContextRules } from '../context/rules.ts';
import type { Bounds, Collected } from './store-collection.ts';
import { askFor } from './store-desk.ts';
import { storedAs } from './store-owner.ts';
import { readManifest } from './table.ts';

/** A context as it was at one moment. */
export interface Snapshot extends Base {
  readonly facts: ContextCopy;
  /** Lets go of it: it may be removed then. */
  release(): void;
}

export interface TakeOptions {
  readonly rules: ContextRules;
  /** where the git directories may lie that `.git` files name */
  readonly allowed: AllowedRoots;
  /** whether what is there already is compared with its hashes first, and made anew when it is damaged */
  readonly verify: boolean;
  /** told a few times a second while many files are copied */
  readonly onProgress?: Listener['onProgress'];
}

/** Who waits for a copy. */
export interface Listener {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface SnapshotStore {
  /**
   * The context as it is now. Throws CONTEXT_TOO_LARGE, CONTEXT_REFUSED for one that does not hold still or holds the store, HOST_FULL, TIMED_OUT when
   * another server has been taking it for too long, and CANCELED; then nothing of it is left, and an earlier snapshot is what it was.
   */
  take(context: OpenedContext, options: TakeOptions, signal: AbortSignal): Promise<Snapshot>;
  /** Removes what nobody uses and is not wanted any more, or is beyond the bounds; with `all` everything that nobody uses. */
  collect(all: boolean): Promise<Collected>;
}

const NEVER = new AbortController().signal;
const GIB = 1024 ** 3;
const BOUNDS: Bounds = { contexts: 32, bytes: 16 * GIB };

/** The store in a directory of this user's alone, which is made at the first use. Several servers may have it open. */
export const openSnapshots = (directory: string, bounds: Bounds = BOUNDS): SnapshotStore => {
  // One after the other: one that has begun removes what the next one would look for.
  let last: Promise<unknown> = Promise.resolve();
  const collect = (all: boolean): Promise<Collected> => {
    const next = last.then(() => askFor('collect', { store: directory, bounds, all }, NEVER));
    last = next.catch(() => {});
    return next;
  };
  return {
    collect,
    take: async ({ fd, path }, { rules, allowed, verify, onProgress }, signal) => {
      const request = { store: directory, bounds, context: fd, path, rules, allowed, verify, owner: storedAs() };
      const { layers, facts, table, lock, isRepaired, isLarger } = await askFor('take', request, signal, onProgress);
      if (isRepaired) log.warn({ layers: layers.length }, 'a snapshot of a context was damaged and is made anew');
      // What is beyond the bounds goes when nobody waits for it.
      if (isLarger) collect(false).catch((error: unknown) => log.warn({ err: error }, 'old snapshots of contexts could not be removed'));
      return { layers, facts, manifest: () => readManifest(table, new Pace(NEVER)), release: once(() => closeSync(lock)) };
    },
  };
};

const once = (act: () => void): (() => void) => {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
};

/**
 * Copies all of a snapshot's layers into an empty directory that nobody else writes meanwhile: for file systems on which an overlay does not work.
 * Throws DISK_FULL, CANCELED, and INTERNAL for a snapshot that is damaged; what is there then is the caller's to remove.
 */
export const materialize = async ({ layers }: Pick<Base, 'layers'>, destination: Fd, owner: Owner, { signal, onProgress }: Listener): Promise<void> => {
  if (layers.length > 0) await askFor('materialize', { layers, destination, owner }, signal, onProgress);
};
