/** Taking an apply back: after a failure in its middle, at the next start after it was cut off, and because somebody asks for it. */
import { closeSync, unlinkSync } from 'node:fs';
import { log } from '../../log.ts';
import { hasCode } from '../../syscall/call.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, RESOLVE_NO_SYMLINKS } from '../../syscall/constants.ts';
import { openat2, withFd, type Fd } from '../../syscall/files.ts';
import { openBeneath } from '../folders.ts';
import { lookAtHost, stateOf } from './hostentry.ts';
import { Displaced, perform, temporaryName } from './hostwriter.ts';
import { Journal, type JournalContent } from './journal.ts';
import { bytesBelow, shownName, splitName, type ByteString } from '../names.ts';
import { Pace } from '../pace.ts';
import { identityOf } from '../roots.ts';
import { refused, undoConflict } from './refusals.ts';
import { isSame, reversed, stepsOf, type State, type Step } from './transitions.ts';

/** Opens a context by its canonical path, through no link; null when it is gone or another. The caller closes it. */
export const openKnown = ({ path, identity }: JournalContent['context']): Fd | null => {
  try {
    const fd = openat2(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (identityOf(fd) === identity) return fd;
    closeSync(fd);
    return null;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
    throw error;
  }
};

/** Brings back what was there. What others have changed meanwhile is left as it is, and named. */
export const rollBack = async ({ transitions }: JournalContent, context: Fd, journal: Journal): Promise<readonly ByteString[]> => {
  const pace = new Pace({ aborted: false });
  for (const [index, { path }] of transitions.entries()) removeTemporary(context, path, temporaryName(journal.id, index));
  const left: ByteString[] = [];
  for (const step of stepsOf(reversed(transitions))) {
    if (!(await bringBack(step, context, journal, pace))) left.push(step.transition.path);
    if (pace.due()) await pace.rest();
  }
  return left;
};

const bringBack = async (step: Step, context: Fd, journal: Journal, pace: Pace): Promise<boolean> => {
  const { path, from, to, isOptional } = step.transition;
  try {
    const entry = lookAtHost(context, path);
    const now = entry && (await stateOf(context, path, entry, null, pace));
    if (entry !== null && now === null) return false;
    if (isSame(now, step.action === 'remove' ? null : to) || (step.action === 'remove' && to !== null && isSame(now, to))) return true;
    if (now !== null && !isAlike(now, from) && !(step.action === 'put' && isAlike(now, to) && now.type === 'directory')) return false;
    await perform({ ...step, transition: { path, from: now, to, ...(isOptional ? { isOptional } : {}) } }, entry, { context, journal, side: 'old', pace });
    return true;
  } catch (error) {
    if (error instanceof Displaced) return false;
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOENT')) log.warn({ err: error }, 'an entry could not be brought back');
    else throw error;
    return false;
  }
};

// A directory that was made and did not get its mode yet is the same.
const isAlike = (now: State, then: State | null): boolean => isSame(now, then) || (now.type === 'directory' && then?.type === 'directory');

const removeTemporary = (context: Fd, path: ByteString, name: ByteString): void => {
  try {
    withFd(openBeneath(context, splitName(path).folder, O_RDONLY | O_DIRECTORY), (folder) => unlinkSync(bytesBelow(folder, name)));
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EACCES')) throw error;
  }
};

/** Takes back every apply that was cut off in its middle, whoever's it was. */
export const recoverApplies = async (undoDirectory: string): Promise<void> => {
  for (const id of Journal.list(undoDirectory)) {
    const journal = Journal.open(undoDirectory, id);
    if (journal === null) continue;
    try {
      if (!journal.isDone && (await takeBack(journal))) journal.remove();
      else journal.close();
    } catch (error) {
      log.error({ err: error, undo: id }, 'an apply that was cut off could not be taken back');
      journal.close();
    }
  }
};

const takeBack = async (journal: Journal): Promise<boolean> => {
  const content = journal.read();
  if (content === null) return true; // nothing had been changed
  const context = openKnown(content.context);
  if (context === null) {
    log.warn({ undo: journal.id }, 'an apply was cut off, and its context is gone');
    return false;
  }
  try {
    const left = await rollBack(content, context, journal);
    log.warn({ undo: journal.id, entries: content.transitions.length, left: left.map(shownName) }, 'took back an apply that was cut off');
    if (left.length > 0) journal.finish(); // what others have changed since is theirs; the old contents are kept
    return left.length === 0;
  } finally {
    closeSync(context);
  }
};

/** Takes an apply back that was done. Resolves with how many entries were brought back. Throws APPLY_CONFLICT, and then nothing is written, APPLY_REFUSED. */
export const undoApply = async (undoDirectory: string, id: string): Promise<number> => {
  const journal = Journal.open(undoDirectory, id);
  if (journal === null) throw refused(`there is no apply ${JSON.stringify(id.slice(0, 40))} that could be taken back`, 'use the id that the apply returned');
  try {
    const content = journal.read();
    const context = content && openKnown(content.context);
    if (content === null || context === null) throw refused('the directory that it was applied to is gone', 'nothing can be done');
    try {
      if (journal.isDone) await demandUnchanged(content, context);
      journal.reopen();
      const left = await rollBack(content, context, journal);
      if (left.length > 0) throw undoConflict(left, 'could not be brought back, everything else was');
    } finally {
      closeSync(context);
    }
    journal.remove();
    return content.transitions.length;
  } catch (error) {
    journal.close();
    throw error;
  }
};

const demandUnchanged = async ({ transitions }: JournalContent, context: Fd): Promise<void> => {
  const pace = new Pace({ aborted: false });
  const changed: ByteString[] = [];
  for (const { path, to, isOptional } of transitions) {
    const entry = lookAtHost(context, path);
    const now = entry && (await stateOf(context, path, entry, null, pace));
    if (!isOptional && !(entry !== null && now === null) && isSame(now, to)) continue;
    if (!isOptional) changed.push(path);
  }
  if (changed.length > 0) throw undoConflict(changed, 'changed since they were applied, nothing was written');
};
