/** What an apply would do, worked out whole before anything is done: the entries it touches, what is there now, and private copies of both sides. */
import { hash } from 'node:crypto';
import { closeSync, writeSync } from 'node:fs';
import { O_DIRECTORY, O_PATH } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import type { Change } from '../diff/changes.ts';
import { lookAtHost, readFile, stateOf, type HostEntry } from './hostentry.ts';
import type { Journal } from './journal.ts';
import { SHA256_OF_NOTHING, type Manifest, type ManifestEntry } from '../manifest.ts';
import { foldersAbove, joinName, type ByteString } from '../names.ts';
import { sortedByPath } from '../order.ts';
import type { Pace } from '../pace.ts';
import { conflict } from './refusals.ts';
import { isSame, type State, type Transition } from './transitions.ts';
import { Tree } from '../tree.ts';

export interface PlanOptions {
  /** the workspace's directory as a program inside sees it */
  readonly view: Fd;
  readonly tree: Tree;
  readonly manifest: Manifest;
  /** the context's directory */
  readonly context: Fd;
  readonly journal: Journal;
  readonly pace: Pace;
}

export interface Plan {
  /** in the order of their paths */
  readonly transitions: readonly Transition[];
  /** what is at each path now */
  readonly expected: ReadonlyMap<ByteString, HostEntry>;
}

/** Throws APPLY_CONFLICT, naming what is not any more as it was copied, on the host or inside. */
export const planOf = async (changes: readonly Change[], options: PlanOptions): Promise<Plan> => {
  const { context, pace } = options;
  const conflicts = new Set<ByteString>();
  const listed = changes.map(({ path, before, after }): Transition => ({ path, from: before && stateIn(before), to: after && stateIn(after) }));
  const all = await sortedByPath([...listed, ...foldersFor(listed, options, conflicts)], pace);
  for (const path of unknownIn(all, context)) conflicts.add(path);
  const expected = new Map<ByteString, HostEntry>();
  const transitions: Transition[] = [];
  for (const [index, transition] of all.entries()) {
    if (pace.due()) await pace.rest();
    const entry = lookAtHost(context, transition.path);
    const from = entry && (await keepOld(transition, entry, index, options));
    if (entry !== null) expected.set(transition.path, entry);
    if (!isAsExpected(from, transition, entry)) conflicts.add(transition.path);
    transitions.push({ ...transition, from });
  }
  if (conflicts.size > 0) throw conflict([...conflicts], 'not any more as they were when they were copied');
  for (const [index, transition] of transitions.entries()) if (!(await keepNew(transition, index, options))) conflicts.add(transition.path);
  if (conflicts.size > 0) throw conflict([...conflicts], 'changed inside the sandbox since the diff');
  return { transitions, expected };
};

const stateIn = ({ type, mode, sha256 }: Pick<ManifestEntry, 'type' | 'mode' | 'sha256'>): State => ({ type, mode, sha256 });

const directory = (mode: number): State => ({ type: 'directory', mode, sha256: SHA256_OF_NOTHING });
const FOLDER_MODE = 0o755;

// Directories that are not listed: those that what is added needs, and those that are gone inside with all that was in them.
const foldersFor = (listed: readonly Transition[], { context, tree, manifest }: PlanOptions, conflicts: Set<ByteString>): Transition[] => {
  const known = new Map(listed.map((one) => [one.path, one]));
  const found = new Map<ByteString, Transition | null>();
  const folderFor = (path: ByteString, isKept: boolean): Transition | null => {
    const entry = lookAtHost(context, path);
    if (isKept && entry !== null && entry.type !== 'directory') conflicts.add(path);
    if (isKept) return entry === null ? { path, from: null, to: directory(FOLDER_MODE), isOptional: true } : null;
    const isGone = manifest.get(path)?.type === 'directory' && !isDirectory(tree, path);
    return isGone && entry?.type === 'directory' ? { path, from: directory(entry.mode), to: null, isOptional: true } : null;
  };
  for (const { path, to } of listed) {
    for (const folder of foldersAbove(path)) {
      if (known.has(folder) || (found.get(folder) ?? null) !== null || (to === null && found.has(folder))) continue;
      found.set(folder, folderFor(folder, to !== null));
    }
  }
  return [...found.values()].filter((one) => one !== null);
};

const isDirectory = (tree: Tree, path: ByteString): boolean => {
  const fd = tree.open(path, O_PATH | O_DIRECTORY);
  if (fd !== null) closeSync(fd);
  return fd !== null;
};

// What a directory holds on the host that is to become something else, and that is not known to go.
const unknownIn = (transitions: readonly Transition[], context: Fd): ByteString[] => {
  const leaving = new Set(transitions.filter(({ to }) => to === null).map(({ path }) => path));
  const unknown: ByteString[] = [];
  const pending = transitions.filter(({ from, to }) => from?.type === 'directory' && to !== null && to.type !== 'directory').map(({ path }) => path);
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of new Tree(context).list(folder)) {
      const path = joinName(folder, entry.name);
      if (!leaving.has(path)) unknown.push(path);
      else if (entry.isDirectory()) pending.push(path);
    }
  }
  return unknown;
};

const isContentKept = ({ from, to }: Transition): boolean => from !== null && to !== null && from.type === to.type && from.sha256 === to.sha256;

// What is there, copied where it would go. Null also for what is of no kind that is known.
const keepOld = async (transition: Transition, entry: HostEntry, index: number, { context, journal, pace }: PlanOptions): Promise<State | null> => {
  const isNeeded = (entry.type === 'file' || entry.type === 'symlink') && transition.from !== null && !isContentKept(transition);
  const to = isNeeded ? journal.create('old', index) : null;
  try {
    return await stateOf(context, transition.path, entry, to, pace);
  } finally {
    if (to !== null) closeSync(to);
  }
};

const isAsExpected = (now: State | null, { from, to }: Transition, entry: HostEntry | null): boolean => {
  if (entry !== null && now === null) return false;
  if (now?.type === 'directory' && to?.type !== 'directory') return from?.type === 'directory';
  return isSame(now, from);
};

// Read once; whether it is what the digest was of.
const keepNew = async (transition: Transition, index: number, { view, tree, journal, pace }: PlanOptions): Promise<boolean> => {
  const { path, to } = transition;
  if (to === null || to.type === 'directory' || isContentKept(transition)) return true;
  const copy = journal.create('new', index);
  try {
    if (to.type === 'file') return (await readFile(view, path, copy, pace))?.sha256 === to.sha256;
    const target = tree.targetOf(path);
    if (target === null) return false;
    writeSync(copy, Buffer.from(target, 'latin1'));
    return hash('sha256', Buffer.from(target, 'latin1')) === to.sha256;
  } finally {
    closeSync(copy);
  }
};
