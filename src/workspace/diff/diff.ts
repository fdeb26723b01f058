/** What has changed in a workspace, as the contract tells it: a list, a digest over all of it, and a patch that git takes. */
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import type { Fd } from '../../syscall/files.ts';
import { digestOf, findChanges, type Change, type ChangeKind } from './changes.ts';
import { shownName } from '../names.ts';
import { Originals } from './originals.ts';
import { Pace } from '../pace.ts';
import { patchOf } from './patch.ts';
import { selectionOf } from './selection.ts';
import type { WorkspaceSource } from '../source.ts';
import { shownSize } from '../status.ts';
import { Tree } from '../tree.ts';

/** The parameters of `sandbox_diff`, in the contract's words. */
export interface DiffInput {
  /** files and directories (all) */
  readonly paths?: readonly string[];
  /** `summary` when left out */
  readonly format?: 'summary' | 'patch';
  /** most of the list, and of the patch, in `bytes` (32 000) */
  readonly max_bytes?: number;
}

export interface DiffResult {
  readonly changes: ListedChange[];
  readonly patch: string | null;
  readonly truncated: boolean;
  readonly digest: string;
}

interface ListedChange {
  readonly path: string;
  readonly change: ChangeKind;
  /** in `bytes`, of what is deleted what it had */
  readonly size: number;
  readonly binary: boolean;
}

export interface DiffOptions {
  /** absolute path of the context on the host, which clients may use for /workspace; null for none */
  readonly contextPath: string | null;
  readonly signal: AbortSignal;
  /** how long it may take in `ms`; left out: 30 s, so that clients that wait a minute get an answer */
  readonly timeLimitMs?: number;
}

const TIME_LIMIT_MS = 30_000;
/** most of the list, and of the patch, in `bytes`, whatever is asked for: both sent twice and escaped as JSON, they are below the 10 MB that clients take */
const MOST_BYTES = 500_000;

/**
 * Compares a workspace with what it was at first. `view`: the descriptor of its directory as a program inside sees it, which like those of `source` stays
 * open until the result is there. A program that changes files meanwhile is seen in the middle of it; a patch holds what the digest is of.
 * Throws PATH_REFUSED, LIMIT_EXCEEDED, TIMED_OUT, and CANCELED after the signal.
 */
export const diffWorkspace = async (view: Fd, source: WorkspaceSource, input: DiffInput, options: DiffOptions): Promise<DiffResult> => {
  const { contextPath, signal, timeLimitMs = TIME_LIMIT_MS } = options;
  const selection = selectionOf(input.paths, contextPath);
  const timeLimit = AbortSignal.timeout(timeLimitMs);
  try {
    return await diff(view, source, input, selection, new Pace(AbortSignal.any([signal, timeLimit])));
  } catch (error) {
    if (signal.aborted) throw new SandboxError('CANCELED', 'comparing the workspace was canceled');
    if (timeLimit.aborted) throw timedOut(timeLimitMs);
    throw refusalOf(error);
  }
};

const diff = async (view: Fd, source: WorkspaceSource, input: DiffInput, selection: ReturnType<typeof selectionOf>, pace: Pace): Promise<DiffResult> => {
  const most = Math.min(input.max_bytes ?? 32_000, MOST_BYTES);
  const { changes, isCut } = await findChanges(view, source, selection, pace);
  const digest = await digestOf(changes, pace);
  const tree = new Tree(view);
  const originals = new Originals(source.base);
  try {
    const listed = await listOf(changes, originals, most, pace);
    const patch = input.format === 'patch' ? await patchOf(changes, { view: tree, originals, most, pace }) : null;
    const truncated = isCut || listed.length < changes.length || (patch?.isCut ?? false);
    return { changes: listed, patch: patch?.text ?? null, truncated, digest };
  } finally {
    originals.close();
    tree.close();
  }
};

/** what an entry of the list takes besides its path, in `bytes` */
const ENTRY_BYTES = 70;

const listOf = async (changes: readonly Change[], originals: Originals, most: number, pace: Pace): Promise<ListedChange[]> => {
  const listed: ListedChange[] = [];
  let room = most;
  for (const one of changes) {
    const path = shownName(one.path);
    room -= Buffer.byteLength(path) + ENTRY_BYTES;
    if (room < 0) break;
    listed.push({ path, change: one.change, size: shownSize((one.after ?? one.before)!.size), binary: isBinaryChange(one, originals) });
    if (pace.due()) await pace.rest();
  }
  return listed;
};

// As for git: a change is binary when either side is.
const isBinaryChange = ({ path, before, after }: Change, originals: Originals): boolean => {
  if (after?.isBinary) return true;
  return before?.type === 'file' && originals.isBinary(path);
};

const timedOut = (ms: number): SandboxError =>
  new SandboxError('TIMED_OUT', `the workspace was not compared within ${ms / 1000} s: too much of it may have changed`, {
    hint: 'name files or directories with `paths`',
  });

// What a failed call means to a client; what is the server's own trouble stays as it is.
const refusalOf = (error: unknown): unknown => {
  const refused = (why: string): SandboxError =>
    new SandboxError('PATH_REFUSED', `the workspace cannot be compared: ${why}`, {
      cause: error,
      hint: 'stop what works there, or name other files with `paths`, and call again',
    });
  if (error instanceof SandboxError) return error;
  if (hasCode(error, 'EAGAIN')) return refused('a file is locked by a program');
  if (hasCode(error, 'EACCES', 'EPERM')) return refused('a file in it cannot be read');
  if (hasCode(error, 'EIO', 'ESTALE')) return refused('its file system refuses it');
  return error;
};
