/** What the store removes: what is left of dead processes, states that nobody can come back to, and what was not used for longest beyond the bounds. */
import { closeSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode } from '../../syscall/call.ts';
import type { Pace } from '../pace.ts';
import { removeTree } from './removal.ts';
import { lockState, tryKey } from './store-locks.ts';
import { isTemporary, putAside, readCurrent, readState, TRIAL, type StateFacts } from './store-place.ts';

/** How much the store keeps while nobody uses it. */
export interface Bounds {
  /** contexts, each under one set of rules */
  readonly contexts: number;
  /** on the disk, about, in `bytes` */
  readonly bytes: number;
}

/** What was removed, and what is still there: snapshots, and about how many bytes they took. */
export interface Collected {
  readonly removed: number;
  readonly bytes: number;
  readonly kept: number;
}

export interface CollectOptions {
  readonly bounds: Bounds;
  /** whether everything goes that nobody uses */
  readonly all: boolean;
}

/**
 * Removes what may go; what is used, or being taken, is left without waiting for it, and no key is held while its files are removed.
 * Throws CANCELED, and errors of removing as they are.
 */
export const collectStore = async (store: string, { bounds, all }: CollectOptions, pace: Pace): Promise<Collected> => {
  const keys = namesIn(store).filter((name) => !isTemporary(name) && name !== TRIAL).map((name) => tidy(store, name, all)); // prettier-ignore
  const removed = keys.flatMap((key) => key.removed);
  const kept = keys.filter(({ states }) => states.length > 0).sort((a, b) => a.usedMs - b.usedMs);
  let bytes = kept.reduce((sum, key) => sum + bytesOf(key.states), 0);
  for (let next = 0; next < kept.length && (kept.length > bounds.contexts || bytes > bounds.bytes);) {
    if (!evict(store, kept[next]!)) next++;
    else {
      const [key] = kept.splice(next, 1);
      bytes -= bytesOf(key!.states);
      removed.push(...key!.states);
    }
  }
  for (const name of namesIn(store).filter(isTemporary)) await removeTree(join(store, name), pace);
  return { removed: removed.length, bytes: bytesOf(removed), kept: kept.reduce((sum, { states }) => sum + states.length, 0) };
};

/** The states of a context's key. */
interface Key {
  readonly name: string;
  /** last use, in `ms` since 1970 */
  readonly usedMs: number;
  readonly states: readonly StateFacts[];
  readonly removed: readonly StateFacts[];
}

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
};

const bytesOf = (states: readonly StateFacts[]): number => states.reduce((sum, { bytes }) => sum + bytes, 0);

// Takes the states of a key away that neither the newest one nor one that is used stands on; with `all` the newest goes too.
const tidy = (store: string, name: string, all: boolean): Key => {
  const path = join(store, name);
  const held = tryKey(store, name);
  if (held === null) return { name, usedMs: Infinity, states: [...statesIn(path).values()], removed: [] };
  try {
    const usedMs = statSync(join(path, 'lock')).mtimeMs;
    const states = statesIn(path);
    const current = all ? null : readCurrent(path);
    const wanted = [...states.keys()].filter((id) => id === current || isUsed(join(path, id)));
    const kept = new Set(wanted.flatMap((id) => [id, ...states.get(id)!.below]));
    if (kept.size === 0) {
      putAside(store, path);
      return { name, usedMs, states: [], removed: [...states.values()] };
    }
    const gone = [...states].filter(([id]) => !kept.has(id));
    for (const child of [...namesIn(path).filter(isTemporary), ...gone.map(([id]) => id)]) putAside(store, join(path, child));
    return { name, usedMs, states: [...states].filter(([id]) => kept.has(id)).map(([, facts]) => facts), removed: gone.map(([, facts]) => facts) };
  } finally {
    held.leave();
  }
};

const statesIn = (key: string): Map<string, StateFacts> =>
  new Map(
    namesIn(key).flatMap((id): [string, StateFacts][] => {
      const facts = isTemporary(id) ? null : readState(join(key, id));
      return facts === null ? [] : [[id, facts]];
    }),
  );

// Nobody can begin to use a state while its key is held.
const isUsed = (state: string): boolean => {
  const lock = lockState(state, 'exclusive');
  if (lock !== null) closeSync(lock);
  return lock === null;
};

// A whole key, unless it is held or one of its states is used.
const evict = (store: string, { name }: Key): boolean => {
  const held = tryKey(store, name);
  if (held === null) return false;
  try {
    if ([...statesIn(held.path).keys()].some((id) => isUsed(join(held.path, id)))) return false;
    putAside(store, held.path);
    return true;
  } finally {
    held.leave();
  }
};
