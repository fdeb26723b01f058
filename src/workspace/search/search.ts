/** Searching a sandbox's files by what they hold and what they are called. What `path` means is looked up here; a thread of its own does the rest (seekers.ts). */
import { closeSync, fstatSync } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import type { Fd } from '../../syscall/files.ts';
import { agentOf, findThroughDoor, placeOf } from '../files/door.ts';
import { refusalOf } from '../files/files.ts';
import type { SearchResult } from './found.ts';
import { isOnlyInside, notFound, pathInside, shownPath, WORKSPACE } from '../paths.ts';
import type { SearchJob } from './searchtree.ts';
import { seek } from './seekers.ts';

export type { SearchResult };

/** The parameters of `sandbox_search`, in the contract's words: `pattern` or `glob`, or both. */
export interface SearchInput {
  readonly pattern?: string;
  readonly glob?: string;
  readonly path?: string;
  readonly ignore_case?: boolean;
  readonly context_lines?: number;
  /** most matches, or files where there is no pattern (200) */
  readonly limit?: number;
  /** most text and paths in `bytes` (16 000) */
  readonly max_bytes?: number;
}

export interface SearchOptions {
  /** absolute path of the context on the host, which clients may use for /workspace; null for none */
  readonly contextPath: string | null;
  readonly signal: AbortSignal;
}

/** longest that a search takes, in `ms`: clients give up after 60 s */
const DEADLINE_MS = 30_000;
/** most of one answer, whatever is asked for */
const MOST = { limit: 10_000, maxBytes: 1_500_000 };

/**
 * Searches below what a path means to a program in the sandbox whose root tree `door` is a descriptor of; the door has to stay open meanwhile.
 * Throws INVALID_PARAMS for a pattern or glob that is none, PATH_NOT_FOUND, PATH_REFUSED, TIMED_OUT, and the reason of the signal.
 */
export const searchPath = async (door: Fd, input: SearchInput, { contextPath, signal }: SearchOptions): Promise<SearchResult> => {
  const fd = open(door, input.path ?? WORKSPACE, contextPath);
  try {
    return await seek(jobOf(door, fd, input), DEADLINE_MS, signal);
  } finally {
    closeSync(fd);
  }
};

const HINT = 'run `grep -rn` there with sandbox_exec';

const open = (door: Fd, given: string, contextPath: string | null): Fd => {
  const refused = (why: string, hint: string): SandboxError => new SandboxError('PATH_REFUSED', `${shownPath(given)} cannot be searched: ${why}`, { hint });
  try {
    const found = findThroughDoor(door, pathInside(given, contextPath), given);
    if ('fd' in found) return found.fd;
    if ('other' in found) throw refused(`it is a ${found.other.type}`, 'name a directory or a file');
    if (isOnlyInside(found.inside)) throw refused("it belongs to the sandbox's own kernel", HINT);
    throw notFound(given, 'there is no such file or directory');
  } catch (error) {
    throw refusalOf(error, given);
  }
};

const jobOf = (door: Fd, fd: Fd, input: SearchInput): SearchJob => {
  const stats = fstatSync(fd);
  const place = placeOf(door, fd);
  return {
    door,
    start: { fd, size: stats.size, isDirectory: stats.isDirectory() },
    place,
    isNamed: place !== WORKSPACE,
    agent: agentOf(door),
    pattern: input.pattern ?? null,
    glob: input.glob ?? null,
    ignoreCase: input.ignore_case ?? false,
    contextLines: input.context_lines ?? 0,
    limit: Math.min(input.limit ?? 200, MOST.limit),
    maxBytes: Math.min(input.max_bytes ?? 16_000, MOST.maxBytes),
  };
};
