/** Bringing changes home: from a workspace into its context's directory on the host, all of them or none. */
import { closeSync } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import type { Fd } from '../../syscall/files.ts';
import { demandAllowed, demandRoom, demandStill, demandWritable, flagsOf } from './applychecks.ts';
import { planOf } from './applyplan.ts';
import { writePlan } from './applywriter.ts';
import { digestOf, findChanges, type Change, type ChangeKind } from '../diff/changes.ts';
import type { Flag } from './flags.ts';
import { forgetOld, Journal, type JournalContent } from './journal.ts';
import { byteStringOf, plainName, shownName } from '../names.ts';
import { Pace } from '../pace.ts';
import { conflict, refused } from './refusals.ts';
import { selectionOf } from '../diff/selection.ts';
import type { WorkspaceSource } from '../source.ts';
import { Tree } from '../tree.ts';
import { openKnown } from './undo.ts';

/** The parameters of `sandbox_apply`, in the contract's words. */
export interface ApplyInput {
  /** of the diff that was seen */
  readonly digest: string;
  /** files and directories (all) */
  readonly paths?: readonly string[];
}

export interface ApplyResult {
  readonly applied: AppliedChange[];
  readonly flagged: FlaggedPath[];
  /** null: nothing was to be done */
  readonly undo: string | null;
}

interface AppliedChange {
  readonly path: string;
  readonly change: ChangeKind;
}

interface FlaggedPath {
  readonly path: string;
  readonly reason: string;
}

/** What a person is asked: what would be written. Paths are quoted where they hold anything that is not plainly visible. */
export interface Question {
  readonly changes: readonly AppliedChange[];
  readonly flagged: readonly FlaggedPath[];
}

export type Ask = (question: Question) => Promise<boolean>;

export interface ApplyOptions {
  /** the context, by its canonical path and by what it was when it was copied */
  readonly context: JournalContent['context'];
  /** where what is needed to take applies back is kept, 0700 */
  readonly undoDirectory: string;
  /** 16 letters and digits, later ones sorted after earlier ones */
  readonly id: string;
  /** whether a person agrees; undefined: nobody can be asked */
  readonly ask: Ask | undefined;
  /** what a person can run instead */
  readonly command: string;
  readonly signal: AbortSignal;
}

const TIME_LIMIT_MS = 45_000;
/** most changes that are brought home at once */
const MOST_CHANGES = 20_000;

/**
 * Writes the changes of a workspace into its context. `view`: the descriptor of its directory as a program inside sees it.
 * Nothing is written before all has been checked and a person has agreed. Throws APPLY_CONFLICT, APPLY_REFUSED, PATH_REFUSED, LIMIT_EXCEEDED, HOST_FULL, TIMED_OUT,
 * CANCELED; then everything is as it was.
 */
export const applyWorkspace = async (view: Fd, source: WorkspaceSource, input: ApplyInput, options: ApplyOptions): Promise<ApplyResult> => {
  if (options.ask === undefined) throw refused('nothing was written: the user has to agree, and this client cannot ask', byHand(options));
  const timeLimit = AbortSignal.timeout(TIME_LIMIT_MS);
  const pace = new Pace(AbortSignal.any([options.signal, timeLimit]));
  const context = openKnown(options.context);
  if (context === null) throw conflict([byteStringOf('.')], "the context's directory is gone, or another is in its place");
  try {
    const changes = await changesOf(view, source, input, options.context.path, pace);
    if (changes.length === 0) return { applied: [], flagged: [], undo: null };
    return await applyChanges(changes, options.ask, { view, source, context, pace }, options);
  } catch (error) {
    if (options.signal.aborted) throw new SandboxError('CANCELED', 'applying the changes was canceled');
    if (timeLimit.aborted && hasCodeOf(error, 'CANCELED'))
      throw new SandboxError('TIMED_OUT', 'the changes were not read in time', { hint: 'apply fewer with `paths`' });
    throw meaningOf(error);
  } finally {
    closeSync(context);
  }
};

const hasCodeOf = (error: unknown, code: string): boolean => error instanceof SandboxError && error.code === code;

// The digest is that of the files named, or that of all changes, of which those named are taken.
const changesOf = async (view: Fd, source: WorkspaceSource, { digest, paths }: ApplyInput, contextPath: string, pace: Pace): Promise<readonly Change[]> => {
  const selection = selectionOf(paths, contextPath);
  const named = await findChanges(view, source, selection, pace);
  let isSeen = (await digestOf(named.changes, pace)) === digest.toLowerCase();
  if (!isSeen && paths !== undefined) {
    const all = await findChanges(view, source, selectionOf(undefined, contextPath), pace);
    isSeen = (await digestOf(all.changes, pace)) === digest.toLowerCase();
  }
  if (!isSeen) throw new SandboxError('APPLY_CONFLICT', 'nothing was written: the workspace is not any more as it was when the diff with this digest was made');
  if (named.isCut) throw refused('a path is too long to be compared', 'name other files with `paths`');
  if (named.changes.length > MOST_CHANGES)
    throw new SandboxError('LIMIT_EXCEEDED', `nothing was written: more than ${MOST_CHANGES} changes are not applied at once`, {
      hint: 'apply them in parts with `paths`',
    });
  return named.changes;
};

interface Places {
  readonly view: Fd;
  readonly source: WorkspaceSource;
  readonly context: Fd;
  readonly pace: Pace;
}

const applyChanges = async (changes: readonly Change[], ask: Ask, { view, source, context, pace }: Places, options: ApplyOptions): Promise<ApplyResult> => {
  const tree = new Tree(view);
  const journal = Journal.create(options.undoDirectory, options.id);
  try {
    demandAllowed(changes, tree, options.context.path, context);
    demandRoom(changes, options.undoDirectory);
    const plan = await planOf(changes, { view, tree, manifest: await source.base.manifest(), context, journal, pace });
    demandWritable(plan, context);
    const flags = flagsOf(changes, plan, journal);
    if (!(await isAgreed(ask, changes, flags, options.signal))) throw refused('nothing was written: the user has to agree, and did not', byHand(options));
    demandStill(plan, context);
    await writePlan({ context: options.context, transitions: plan.transitions }, plan, context, journal);
    forgetOld(options.undoDirectory);
    return {
      applied: changes.map(({ path, change }) => ({ path: shownName(path), change })),
      flagged: flags.map(({ path, reason }) => ({ path: shownName(path), reason })),
      undo: journal.id,
    };
  } finally {
    tree.close();
    if (journal.isWritten) journal.close();
    else journal.remove();
  }
};

const byHand = ({ command }: ApplyOptions): string => `a person can run \`${command}\` on this machine`;

// Whoever is asked may take long, and the sandbox may end meanwhile.
const isAgreed = async (ask: Ask, changes: readonly Change[], flags: readonly Flag[], signal: AbortSignal): Promise<boolean> => {
  const answer = ask({
    changes: changes.map(({ path, change }) => ({ path: plainName(path), change })),
    flagged: flags.map(({ path, reason }) => ({ path: plainName(path), reason })),
  });
  const ended = new Promise<false>((resolve) => {
    if (signal.aborted) resolve(false);
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
  const isYes = await Promise.race([answer, ended]);
  return isYes && !signal.aborted;
};

// What a failed call means before anything was written.
const meaningOf = (error: unknown): unknown => {
  if (error instanceof SandboxError) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new SandboxError('HOST_FULL', 'nothing was written: there is no space left for copies of what changes', { cause: error });
  if (hasCode(error, 'EACCES', 'EPERM', 'EAGAIN', 'ELOOP', 'ENOENT', 'ENOTDIR', 'EXDEV'))
    return new SandboxError('APPLY_CONFLICT', 'nothing was written: a file cannot be read, or keeps changing', { cause: error });
  return error;
};
