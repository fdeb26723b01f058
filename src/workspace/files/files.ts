/**
 * Reading any path of a sandbox through one door (decision 5 of the design). Everything in the tree is hostile and is changed while it is read:
 * the kernel resolves paths within the tree, what a path leads to is looked at before it is opened, and nothing is opened by a path of the host.
 */
import { closeSync, fstatSync, readSync, type Stats } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import type { Fd } from '../../syscall/files.ts';
import { readContent, type FileResult, type ImageResult, type Source, type Window } from './content.ts';
import { findThroughDoor, type OtherResult } from './door.ts';
import { readInside, type Inside } from './inside.ts';
import { listDirectory, type DirectoryResult } from './listing.ts';
import { notFound, pathInside, shownPath } from '../paths.ts';
import { shownMode, shownSize, shownTime } from '../status.ts';

/** What reading needs to know of a sandbox besides its tree. */
export interface ReadOptions {
  /** absolute path of the context on the host, which clients may use for /workspace; null for none */
  readonly contextPath: string | null;
  readonly inside: Inside;
  readonly signal: AbortSignal;
}

/** The parameters of `sandbox_read`, in the contract's words. */
export interface ReadInput {
  readonly path: string;
  /** first line or entry, from 1 (1) */
  readonly offset?: number;
  /** most lines or entries (400) */
  readonly limit?: number;
  /** `auto` when left out */
  readonly encoding?: 'auto' | 'text' | 'base64';
  /** most content of a file in `bytes` (32 000) */
  readonly max_bytes?: number;
}

export type ReadResult = FileResult | ImageResult | DirectoryResult | OtherResult;

/**
 * Reads what a path means to a program in the sandbox whose root tree `door` is a descriptor of; the door is not used any more after the first
 * turn of the event loop. `content.ts` and `listing.ts` say how much is read. What `agent` could not read is not read for it: the server may more.
 * Throws PATH_NOT_FOUND, PATH_REFUSED (`agent` may not read it, it keeps changing, its links lead in a circle), NOT_TEXT, LIMIT_EXCEEDED,
 * and CANCELED after the signal.
 */
export const readPath = async (door: Fd, input: ReadInput, { contextPath, inside, signal }: ReadOptions): Promise<ReadResult> => {
  const { path: given, offset = 1, limit = 400, encoding = 'auto', max_bytes: maxBytes = 32_000 } = input;
  const window = { offset, limit, encoding, maxBytes };
  try {
    signal.throwIfAborted();
    const found = refusing(given, () => findThroughDoor(door, pathInside(given, contextPath), given));
    if ('inside' in found) return await readInside(inside, found.inside, window, given, signal);
    return 'other' in found ? found.other : await readOpened(found.fd, window, given, signal);
  } catch (error) {
    throw signal.aborted ? new SandboxError('CANCELED', `reading ${shownPath(given)} was canceled`) : error;
  }
};

const readOpened = async (fd: Fd, window: Window, given: string, signal: AbortSignal): Promise<ReadResult> => {
  try {
    const stats = fstatSync(fd);
    return await (stats.isDirectory() ? listDirectory(fd, window, given, signal) : readContent(sourceOf(fd, stats), window, given, signal));
  } catch (error) {
    throw refusalOf(error, given);
  } finally {
    closeSync(fd);
  }
};

/** how far into a file a line is looked for, in `bytes` */
const REACH = 64 * 1024 * 1024;

const sourceOf = (fd: Fd, { size, mode, mtimeMs }: Stats): Source => ({
  read: (into, position) => readSync(fd, into, 0, into.length, position),
  reach: REACH,
  size: shownSize(size),
  mode: shownMode(mode),
  mtime: shownTime(mtimeMs),
});

const refusing = <T>(given: string, find: () => T): T => {
  try {
    return find();
  } catch (error) {
    throw refusalOf(error, given);
  }
};

const HINT_CHANGING = 'wait for what renames or locks files there, or stop it, and call again';

/** What a failed call on a path means to a client; what is the server's own trouble stays as it is. */
export const refusalOf = (error: unknown, given: string): unknown => {
  if (error instanceof SandboxError) return error;
  const refused = (why: string, hint?: string): SandboxError =>
    new SandboxError('PATH_REFUSED', `${shownPath(given)} cannot be read: ${why}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
  if (hasCode(error, 'ENOENT')) return notFound(given, 'there is no such file or directory');
  if (hasCode(error, 'ENOTDIR')) return notFound(given, 'a part of it is not a directory');
  if (hasCode(error, 'ENAMETOOLONG')) return notFound(given, 'a name in it is longer than a name can be');
  if (hasCode(error, 'ELOOP')) return refused('its links lead in a circle, or there are too many');
  if (hasCode(error, 'EAGAIN')) return refused('it keeps changing', HINT_CHANGING);
  if (hasCode(error, 'EACCES', 'EPERM')) return refused('the user `agent` may not read it');
  if (hasCode(error, 'EXDEV', 'EIO', 'ESTALE')) return refused('its file system refuses it');
  return error;
};
