/** What clients are shown of a file's status. A sandbox chooses every number in it: each is brought to what the contract can hold. Pure. */
import { constants } from 'node:fs';

export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'device' | 'socket';

const TYPES = new Map<number, FileType>([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'directory'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
]);

/** The type that a mode holds; a character or block device is a `device`.   man 7 inode */
export const typeOf = (mode: number): FileType => TYPES.get(mode & constants.S_IFMT) ?? 'device';

/** The permissions of a mode as four octal digits, `0644`. */
export const shownMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** A size in `bytes`; files of up to 8 EiB exist, numbers of JSON end at 8 PiB. */
export const shownSize = (size: number): number => Math.min(size, Number.MAX_SAFE_INTEGER);

/** the last moment that a Date can name, in `ms` since 1970; the first is the same before it */
const LAST_MS = 8.64e15;

/** A time in `ms` since 1970 as ISO 8601; one that a Date cannot name as the last or first that it can. */
export const shownTime = (ms: number): string => new Date(Math.max(-LAST_MS, Math.min(LAST_MS, ms))).toISOString();
