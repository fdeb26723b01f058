/** A snapshot of a context taken: what has not changed since the last one is shared with it, everything else is one layer more. */
import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SyscallError } from '../../syscall/call.ts';
import type { Fd } from '../../syscall/files.ts';
import type { ContextCopy } from '../context/context.ts';
import { copyEntries, isCopied } from '../context/copy.ts';
import type { LeftOut } from '../context/entry.ts';
import type { Owner } from '../context/filework.ts';
import { laneOf } from '../context/lane.ts';
import { Lanes, type Progress } from '../context/lanes.ts';
import { skippedOf, sortedLeftOut } from '../context/leftout.ts';
import type { Pace } from '../pace.ts';
import type { AllowedRoots } from '../roots.ts';
import { isPartKind, kindOf, ROW_WORDS, statFd } from './rows.ts';
import { judgeOf, type ContextRules } from '../context/rules.ts';
import { scanContext, type Scan } from '../context/scan.ts';
import { Damaged, standOn } from './snapshot-base.ts';
import { isWhole } from './snapshot-check.ts';
import { Draft } from './snapshot-draft.ts';
import { bootId, layersOf, readNewest, TABLE, type State } from './snapshot-state.ts';
import { lockState, touchKey } from './store-locks.ts';
import { isTemporary, putAside, replaceFile, writeCurrent } from './store-place.ts';
import { rowsOf, summaryOf } from './summary.ts';
import { Known, writeTable, type Table, type TableHead } from './table.ts';
import { trackedIn } from './snapshot-tracked.ts';

export interface SnapshotRequest {
  /** the directory of this context's snapshots, which the caller holds */
  readonly key: string;
  /** the store's directory, open: it is no part of a context */
  readonly store: Fd;
  /** the context, open, and its canonical path */
  readonly context: Fd;
  readonly path: string;
  readonly rules: ContextRules;
  readonly allowed: AllowedRoots;
  /** whether what is there already is compared with its hashes first */
  readonly verify: boolean;
  readonly owner: Owner;
}

/** A snapshot and the lock that keeps it. */
export interface Taken {
  /** host directories, the newest first */
  readonly layers: readonly string[];
  readonly facts: ContextCopy;
  /** file of the manifest */
  readonly table: string;
  /** held (shared) by who has it open */
  readonly lock: Fd;
  /** whether what was there before was found damaged, and made anew */
  readonly isRepaired: boolean;
  /** whether the store has become larger */
  readonly isLarger: boolean;
}

export interface Tools {
  readonly pace: Pace;
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** What changed so shortly before it was looked at, in `ms`, is read again the next time: file systems' times are as coarse, and clocks are set. */
const FRESH_MS = 2000;

/**
 * Takes a snapshot. Throws CONTEXT_TOO_LARGE, CONTEXT_REFUSED for a tree that does not hold still, CANCELED, and the errors of writing as they are;
 * then, and when it is interrupted in whatever way, the last snapshot is what it was.
 */
export const takeSnapshot = async (request: SnapshotRequest, tools: Tools): Promise<Taken> => {
  const { key, path, verify } = request;
  for (const name of readdirSync(key)) if (isTemporary(name)) putAside(dirname(key), join(key, name));
  const found = readNewest(key, path);
  const isDoubtful = found !== null && (verify || found.known.table.head.boot !== bootId());
  const isDamaged = isDoubtful && !(await isWhole(key, found, tools));
  try {
    return { ...(await take(isDamaged ? null : found, request, tools)), isRepaired: isDamaged };
  } catch (error) {
    // An overlay as the store's file system, as in a container, takes no whiteouts: then what has lost something is copied as a whole.
    const cannotHide = error instanceof SyscallError && error.syscall === 'mknodat' && error.code === 'EPERM';
    if (!(error instanceof Damaged) && !cannotHide) throw error;
    return { ...(await take(null, request, tools)), isRepaired: !cannotHide };
  }
};

const take = async (newest: State | null, request: SnapshotRequest, tools: Tools): Promise<Omit<Taken, 'isRepaired'>> => {
  const { key, context, rules, allowed, store, owner } = request;
  const startedAt = Date.now();
  const lanes = new Lanes(laneOf, { rules, owner, ...tools });
  const facts = new Uint32Array(ROW_WORDS);
  statFd(store, facts, 0);
  const scan = await scanContext(context, { judge: judgeOf(rules), limits: rules, allowed, pace: tools.pace, known: newest?.known ?? null, store: facts });
  try {
    const result = (newest === null ? null : unchanged(newest, scan)) ?? (await advance(newest, scan, startedAt, lanes, request, tools));
    const { state, leftOut, isLarger } = result;
    const { head } = state.known.table;
    const lock = lockState(join(key, state.id), 'shared');
    if (lock === null) throw new Error(`the state ${state.id} of a snapshot cannot be locked: it is gone`);
    touchKey(key);
    const copy = { files: head.files, bytes: head.bytes, digest: head.digest, ...skippedOf(leftOut), warnings: [...scan.warnings, ...head.tracked] };
    return { layers: layersOf(key, state), facts: copy, table: join(key, state.id, TABLE), lock, isLarger };
  } finally {
    scan.close();
  }
};

interface Result {
  readonly state: State;
  readonly leftOut: readonly LeftOut[];
  readonly isLarger: boolean;
}

// The newest state as it is, when nothing at all has changed; null when something has to be looked at.
const unchanged = (newest: State, { entries, leftOut: found }: Scan): Result | null => {
  const { table } = newest.known;
  const leftOut = sortedLeftOut(found);
  const isSame = entries.length === table.paths.length && entries.every((entry) => entry.isSame);
  return isSame && table.head.leftOut === digestOf(leftOut) && table.head.boot === bootId() ? { state: newest, leftOut, isLarger: false } : null;
};

const digestOf = (leftOut: readonly LeftOut[]): string => hash('sha256', JSON.stringify(leftOut));

// What has changed is brought into a draft. It becomes the next state when the tree is another one.
const advance = async (newest: State | null, scan: Scan, startedAt: number, lanes: Lanes, request: SnapshotRequest, tools: Tools): Promise<Result> => {
  const { key, path, rules, owner } = request;
  const draft = new Draft(key, owner, tools.pace);
  try {
    const unread = await copyEntries(scan, draft.layer, { lanes, known: newest?.known ?? null, maxBytes: rules.maxBytes });
    const leftOut = sortedLeftOut([...scan.leftOut, ...unread]);
    const rows = rowsOf(scan, startedAt - FRESH_MS);
    const head = { context: path, boot: bootId(), leftOut: digestOf(leftOut) };
    if (newest !== null && isSameTree(rows, newest.known)) {
      return { state: await refresh(key, newest, { head, ...rows }, leftOut, scan, tools), leftOut, isLarger: false };
    }
    const summary = await summaryOf(rows.paths, rows.words, tools.pace);
    const known = new Known({ head: { ...head, ...summary, tracked: [] }, ...rows });
    const base = await standOn(key, newest, known, draft, tools);
    const layers = [draft.files, ...base.below.map((id) => layersOf(key, { id, below: [] })[0]!)];
    const tracked = await trackedIn(layers, leftOut, scan.entries, tools.pace);
    const next = known.withHead({ ...known.table.head, tracked });
    const id = await draft.publish(next, base.known, base.below);
    writeCurrent(key, id);
    return { state: { id, below: base.below, known: next }, leftOut, isLarger: true };
  } finally {
    await draft.close();
  }
};

// Whether rows come to the tree that a state has.
const isSameTree = ({ paths, words }: Pick<Table, 'paths' | 'words'>, known: Known): boolean => {
  const isPart = (of: Uint32Array, row: number): boolean => isPartKind(kindOf(of, row * ROW_WORDS));
  if (!paths.every((path, row) => !isPart(words, row) || isCopied(known, path, words, row * ROW_WORDS))) return false;
  const { table } = known;
  return paths.filter((_, row) => isPart(words, row)).length === table.paths.filter((_, row) => isPart(table.words, row)).length;
};

// The same state with what is new about where it came from: the next look finds less to read.
const refresh = async (
  key: string,
  newest: State,
  next: Omit<Table, 'head'> & { head: Pick<TableHead, 'context' | 'boot' | 'leftOut'> },
  leftOut: readonly LeftOut[],
  scan: Scan,
  { pace }: Tools,
): Promise<State> => {
  const { table } = newest.known;
  const isSame = table.head.leftOut === next.head.leftOut && table.head.boot === next.head.boot && sameRows(table, next);
  if (isSame) return newest;
  const tracked = table.head.leftOut === next.head.leftOut ? table.head.tracked : await trackedIn(layersOf(key, newest), leftOut, scan.entries, pace);
  const known = new Known({ head: { ...table.head, ...next.head, tracked }, paths: next.paths, words: next.words });
  replaceFile(join(key, newest.id, TABLE), (path) => writeTable(path, known.table));
  return { ...newest, known };
};

const sameRows = (a: Pick<Table, 'paths' | 'words'>, b: Pick<Table, 'paths' | 'words'>): boolean =>
  a.paths.length === b.paths.length && a.paths.every((path, index) => path === b.paths[index]) && bytesIn(a.words).equals(bytesIn(b.words));

const bytesIn = (words: Uint32Array): Buffer => Buffer.from(words.buffer, words.byteOffset, words.byteLength);
