/** A published state of a snapshot, as the next one is compared with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteString } from '../names.ts';
import { isPartKind, kindOf, ROW_WORDS } from './rows.ts';
import { readCurrent, readState } from './store-place.ts';
import { Known, readTable, type Table } from './table.ts';

/** Names in the directory of a state. */
export const FILES = 'files';
export const TABLE = 'table';

export interface State {
  readonly id: string;
  /** ids of the states whose layers lie under its own */
  readonly below: readonly string[];
  readonly known: Known;
}

/** The newest state of a context's key; null where there is none, or what is there cannot be used. */
export const readNewest = (key: string, context: ByteString): State | null => {
  const id = readCurrent(key);
  const facts = id === null ? null : readState(join(key, id));
  const table = id === null ? null : readTable(join(key, id, TABLE));
  if (id === null || facts === null || table === null || table.head.context !== context) return null;
  return facts.below.every((state) => readState(join(key, state)) !== null) ? { id, below: facts.below, known: new Known(table) } : null;
};

/** Directories of a state's layers, the uppermost first. */
export const layersOf = (key: string, { id, below }: Pick<State, 'id' | 'below'>): string[] => [id, ...below].map((state) => join(key, state, FILES));

/** Which boot of the machine this is: what was written before may have been lost with its power.   man 5 proc_sys_kernel, random/boot_id */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();

/** The rows of a table that are part of the tree, without those of what was left out. */
export const partsOf = (
  { paths, words }: Pick<Table, 'paths' | 'words'>,
  isWanted: (path: ByteString, at: number) => boolean = () => true,
): Pick<Table, 'paths' | 'words'> => {
  const wanted = [...paths.entries()].filter(([row, path]) => isPartKind(kindOf(words, row * ROW_WORDS)) && isWanted(path, row * ROW_WORDS));
  const rows = new Uint32Array(wanted.length * ROW_WORDS);
  for (const [index, [row]] of wanted.entries()) rows.set(words.subarray(row * ROW_WORDS, (row + 1) * ROW_WORDS), index * ROW_WORDS);
  return { paths: wanted.map(([, path]) => path), words: rows };
};
