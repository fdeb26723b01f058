/** What a snapshot of a context would hold and what not, found as a snapshot finds it: every file is looked into, nothing is written. */
import { closeSync } from 'node:fs';
import { hasCode } from '../../syscall/call.ts';
import { openDirectory } from '../../syscall/files.ts';
import { laneOf } from './lane.ts';
import { Lanes } from './lanes.ts';
import { sortedLeftOut } from './leftout.ts';
import { shownName, splitName } from '../names.ts';
import { Pace } from '../pace.ts';
import type { AllowedRoots, OpenedContext } from '../roots.ts';
import { copySizeOf, isPartKind, KIND_OF, kindOf, reasonOf, ROW_WORDS, statFd } from '../store/rows.ts';
import { judgeOf, type ContextRules } from './rules.ts';
import { scanContext, type Scan } from './scan.ts';
import { refuseStore } from '../store/store-place.ts';
import { rowsOf, summaryOf } from '../store/summary.ts';
import { Tally } from './tally.ts';

/** Names are quoted where they need it. */
export interface Preview {
  /** files and links */
  readonly files: number;
  readonly directories: number;
  /** content of the files in `bytes` */
  readonly bytes: number;
  readonly digest: string;
  /** directories that hold most of it, in `bytes`; `.` for the files at the top */
  readonly largest: readonly { readonly path: string; readonly bytes: number }[];
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

export interface PreviewOptions {
  readonly rules: ContextRules;
  readonly allowed: AllowedRoots;
  /** directory of the store that snapshots would go to: no part of a context. It need not be there */
  readonly store: string;
}

/** Throws what taking a snapshot throws: CONTEXT_TOO_LARGE, CONTEXT_REFUSED, CANCELED. */
export const previewContext = async ({ fd, path }: OpenedContext, { rules, allowed, store }: PreviewOptions, signal: AbortSignal): Promise<Preview> => {
  const pace = new Pace(signal);
  const scan = await scanContext(fd, { judge: judgeOf(rules), limits: rules, allowed, pace, ...factsOf(path, store) });
  try {
    const unread = scan.entries.filter(({ type }) => type === 'file');
    const lanes = new Lanes(laneOf, { rules, owner: null, signal });
    await lanes.bring(unread, { rows: scan.rows, to: null, known: null, maxBytes: rules.maxBytes });
    const { words } = scan.rows;
    const judged = unread.flatMap(({ path: name, at }) => {
      const reason = reasonOf(words, at);
      return reason === null ? [] : [{ path: name, reason }];
    });
    const { paths, words: found } = rowsOf(scan, Infinity);
    return {
      ...(await summaryOf(paths, found, pace)),
      directories: paths.filter((_, row) => kindOf(found, row * ROW_WORDS) === KIND_OF.directory).length,
      largest: largestIn(scan, rules),
      leftOut: sortedLeftOut([...scan.leftOut, ...judged]).map(({ path: name, reason }) => ({ path: shownName(name), reason })),
      warnings: scan.warnings,
    };
  } finally {
    scan.close();
  }
};

const factsOf = (context: string, store: string): { store?: Uint32Array } => {
  try {
    const fd = openDirectory(store);
    try {
      refuseStore(context, store);
      const facts = new Uint32Array(ROW_WORDS);
      statFd(fd, facts, 0);
      return { store: facts };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return {};
    throw error;
  }
};

const MOST_NAMED = 5;

const largestIn = ({ entries, rows: { words } }: Scan, rules: ContextRules): Preview['largest'] => {
  const tally = new Tally(rules);
  tally.countFolder('');
  for (const { path, type, at } of entries) {
    if (type === 'directory') tally.countFolder(path);
    else if (isPartKind(kindOf(words, at))) tally.countFile(splitName(path).folder, type === 'file' ? copySizeOf(words, at) : 0);
  }
  return tally.largest('bytes', MOST_NAMED).map(([path, bytes]) => ({ path: path === '' ? '.' : shownName(path), bytes }));
};
