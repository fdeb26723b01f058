/** What the next state of a snapshot stands on: the layers of the last one, or fewer when they have become many. */
import { join } from 'node:path';
import { isCopied } from '../context/copy.ts';
import { copyLayers, openLayers } from './layers.ts';
import { copySizeOf, ROW_WORDS } from './rows.ts';
import type { Tools } from './snapshot.ts';
import type { Draft } from './snapshot-draft.ts';
import { layersOf, partsOf, TABLE, type State } from './snapshot-state.ts';
import { Known, readTable } from './table.ts';

export interface Base {
  /** what it comes to; null for nothing */
  readonly known: Known | null;
  /** ids of its states, the uppermost first */
  readonly below: readonly string[];
}

/** A layer that does not hold what its table says. */
export class Damaged extends Error {}

/** most layers of a state: a look for a name that is not there asks each of them */
export const MOST_LAYERS = 8;
/** A lowest layer of which less than this part would still be seen is given up. */
const MOSTLY = 0.5;

/**
 * Chooses what `next` is to stand on and brings into its draft what only layers hold that are given up. With as many layers as there may be these are all
 * between the lowest and the new one, which costs what has changed since the lowest was made; and the lowest too, when most of it is hidden.
 * Throws Damaged when a layer is not what its table says.
 */
export const standOn = async (key: string, newest: State | null, next: Known, draft: Draft, { pace, signal }: Tools): Promise<Base> => {
  if (newest === null) return { known: null, below: [] };
  if (newest.below.length + 1 < MOST_LAYERS) return { known: newest.known, below: [newest.id, ...newest.below] };
  const base = lowestOf(key, newest, next);
  const { words } = next.table;
  const carried = partsOf(next.table, (path, at) => isCopied(newest.known, path, words, at) && !isCopied(base.known, path, words, at));
  const layers = await openLayers(layersOf(key, newest), pace);
  try {
    const options = { owner: draft.owner, pace, signal };
    if (!(await copyLayers(layers, carried, draft.layer, options))) throw new Damaged('a layer of a snapshot does not hold what its table says');
  } finally {
    layers.close();
  }
  return base;
};

const lowestOf = (key: string, { below }: State, next: Known): Base => {
  const lowest = below.at(-1)!;
  const table = readTable(join(key, lowest, TABLE));
  if (table === null) return { known: null, below: [] };
  const known = new Known(table);
  const all = partsOf(next.table);
  const weight = (words: Uint32Array, row: number): number => ENTRY_WEIGHT + copySizeOf(words, row * ROW_WORDS);
  const total = all.paths.reduce((sum, _, row) => sum + weight(all.words, row), 0);
  const seen = all.paths.reduce((sum, path, row) => (isCopied(known, path, all.words, row * ROW_WORDS) ? sum + weight(all.words, row) : sum), 0);
  return seen >= MOSTLY * total ? { known, below: [lowest] } : { known: null, below: [] };
};

/** what an entry counts besides its content, in `bytes` */
const ENTRY_WEIGHT = 4096;
