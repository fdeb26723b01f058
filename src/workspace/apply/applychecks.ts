/** What an apply is looked at for before anything is written: what may never come home, room for copies, what a person has to know, and that nothing has changed. */
import { readFileSync, statfsSync } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import { withFd, type Fd } from '../../syscall/files.ts';
import type { Plan } from './applyplan.ts';
import type { Change } from '../diff/changes.ts';
import { isPackage, reasonOf, type Flag } from './flags.ts';
import { isStill, lookAtHost } from './hostentry.ts';
import type { Journal, Side } from './journal.ts';
import { byteStringOf, listed, shownName, splitName, type ByteString } from '../names.ts';
import { conflict, refused } from './refusals.ts';
import { isOnCaseless, refusalOf, twinsIn } from './refusedpaths.ts';
import type { Tree } from '../tree.ts';

/** what copies leave free on the disk of the state directory, in `bytes` */
const RESERVE = 64 * 1024 * 1024;
/** most names in a message */
const MOST_NAMED = 5;

/** Throws APPLY_REFUSED, naming what must not be written. `context`: its canonical path, `host`: the descriptor of its directory. */
export const demandAllowed = (changes: readonly Change[], tree: Tree, context: string, host: Fd): void => {
  const place = byteStringOf(context);
  const reasons = changes.flatMap((change) => refusalOf(change, place, change.after?.type === 'symlink' ? tree.targetOf(change.path) : null) ?? []);
  const twins = twinsIn(changes.filter(({ after }) => after !== null).map(({ path }) => path));
  if (twins !== null && isOnCaseless(host)) reasons.push(`${twins.map(shownName).join(' and ')} are one file on this file system`);
  if (reasons.length === 0) return;
  throw refused(`nothing was written: ${listed(reasons, MOST_NAMED)}`, 'leave them out: name other files with `paths`');
};

/** Throws APPLY_REFUSED where a directory is read-only: the kernel would let root write there, and us in our own namespace. */
export const demandWritable = ({ transitions }: Plan, context: Fd): void => {
  const folders = new Set(transitions.map(({ path }) => splitName(path).folder));
  const sealed = [...folders].filter((folder) => {
    const entry = lookAtHost(context, folder);
    return entry?.type === 'directory' && (entry.mode & 0o222) === 0;
  });
  if (sealed.length === 0) return;
  const named = sealed.slice(0, MOST_NAMED).map((folder) => shownName(folder === '' ? '.' : folder));
  throw refused(`nothing was written: read-only are ${named.join(', ')}`, 'let their owner write there, or leave them out: name other files with `paths`');
};

/** Throws HOST_FULL where copies of both sides would fill the disk. */
export const demandRoom = (changes: readonly Change[], directory: string): void => {
  const { bavail, bsize } = statfsSync(directory);
  const needed = changes.reduce((sum, { before, after }) => sum + (before?.size ?? 0) + (after?.size ?? 0), 0);
  if (needed + RESERVE > bavail * bsize)
    throw new SandboxError('HOST_FULL', `nothing was written: copies of what changes need ${needed} bytes below the state directory`);
};

/** largest package.json that is looked into, in `bytes` */
const MOST_LOOKED_INTO = 1_000_000;

/** What can run code on the host, with the reasons. */
export const flagsOf = (changes: readonly Change[], { transitions }: Plan, journal: Journal): Flag[] => {
  const indexes = new Map(transitions.map(({ path }, index) => [path, index]));
  const textOf = (path: ByteString, side: Side, size = 0): string | null =>
    size > MOST_LOOKED_INTO ? '' : withFd(journal.open(side, indexes.get(path)!), (fd) => readFileSync(fd, 'utf8'));
  return changes.flatMap(({ path, change, before, after }) => {
    if (after === null) return [];
    const isRead = isPackage(path) && after.type === 'file' && change !== 'mode_changed';
    const reason = reasonOf({
      path,
      isExecutable: after.type === 'file' && (after.mode & 0o111) !== 0,
      before: isRead && before?.type === 'file' ? textOf(path, 'old', before.size) : null,
      after: isRead ? textOf(path, 'new', after.size) : null,
    });
    return reason === null ? [] : [{ path, reason }];
  });
};

/** Throws APPLY_CONFLICT where an entry is not any more what was looked at. */
export const demandStill = ({ transitions, expected }: Plan, context: Fd): void => {
  const changed = transitions.filter(({ path }) => !isStill(expected.get(path) ?? null, lookAtHost(context, path))).map(({ path }) => path);
  if (changed.length > 0) throw conflict(changed, 'not any more as they were when they were copied');
};
