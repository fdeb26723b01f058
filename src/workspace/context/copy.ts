/** What a scan found, brought into a layer: everything, or what is not in an earlier snapshot. */
import type { Entry, LeftOut } from './entry.ts';
import type { Lanes } from './lanes.ts';
import type { Layer } from '../store/layer.ts';
import { splitName } from '../names.ts';
import { copySizeOf, flagsOf, FRESH, KIND_OF, kindOf, reasonOf, sameCopy, sameFacts } from '../store/rows.ts';
import type { Scan } from './scan.ts';
import type { Known } from '../store/table.ts';

export interface CopyOptions {
  readonly lanes: Lanes;
  /** what is copied already; null: nothing */
  readonly known: Known | null;
  /** most content that the whole may have, in `bytes`; a tree that has grown beyond it since the scan is CONTEXT_REFUSED */
  readonly maxBytes: number;
}

/**
 * Copies what a scan found into a layer and fills the rows of its files; returns what only its content, or the attempt to read it, left out.
 * Directories have to be finished when nothing more is to be made in them. Throws CONTEXT_REFUSED for what does not hold still, CANCELED, and the
 * errors of writing as they are.
 */
export const copyEntries = async ({ entries, rows }: Scan, layer: Layer, { lanes, known, maxBytes }: CopyOptions): Promise<LeftOut[]> => {
  const isNew = ({ path, at, isSame }: Entry): boolean => !isSame && !isCopied(known, path, rows.words, at);
  const unchanged = entries.reduce((sum, { type, isSame, at }) => (isSame && type === 'file' ? sum + copySizeOf(rows.words, at) : sum), 0);
  const bring = (files: readonly Entry[], to: number | null): Promise<void> => lanes.bring(files, { rows, to, known, maxBytes: maxBytes - unchanged });

  const unread = entries.filter(({ type, isSame }) => type === 'file' && !isSame);
  // Most of those that only may have changed have not: they are read before a place is made for them.
  const doubtful = new Set(unread.filter(({ path, at }) => isDoubtful(known, path, rows.words, at)));
  await bring([...doubtful], null);
  const files = unread.filter((entry) => !doubtful.has(entry) || (kindOf(rows.words, entry.at) === KIND_OF.file && isNew(entry)));
  const links = entries.filter((entry) => kindOf(rows.words, entry.at) === KIND_OF.symlink && isNew(entry));
  const folders = entries.filter((entry) => entry.type === 'directory' && isNew(entry));

  await layer.makeFolders([...folders.map(({ path }) => path), ...[...files, ...links].map(({ path }) => splitName(path).folder)]);
  await bring(files, layer.top);
  await layer.makeLinks(links.map(({ path, target, at }) => ({ path, target, words: rows.words, at })));
  return unread.flatMap(({ path, at }) => {
    const reason = reasonOf(rows.words, at);
    return reason === null ? [] : [{ path, reason }];
  });
};

/** Whether a copy of an entry, as its row tells it, is in an earlier snapshot. */
export const isCopied = (known: Known | null, path: string, words: Uint32Array, at: number): boolean => {
  const row = known?.find(path) ?? -1;
  return row >= 0 && sameCopy(known!.table.words, row, words, at);
};

// A file whose facts are as they were, when they were too young to tell.
const isDoubtful = (known: Known | null, path: string, words: Uint32Array, at: number): boolean => {
  const row = known?.find(path) ?? -1;
  return row >= 0 && flagsOf(known!.table.words, row) === FRESH && sameFacts(known!.table.words, row, words, at);
};
