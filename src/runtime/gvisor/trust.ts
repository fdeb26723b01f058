/** Programs that cellwall starts: where they lie, and who could put another file in their place. */
import { accessSync, constants, lstatSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { hasCode } from '../../syscall/call.ts';

/** A path that is not trusted. `reason` may cross the wire; the message names the path and is for the log. */
export class Untrusted extends Error {
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(detail);
    this.name = 'Untrusted';
    this.reason = reason;
  }
}

/** As many links as the kernel follows on one path.   man 7 path_resolution */
const MAX_LINKS = 40;
const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Where an absolute path leads, by its real name, and what is there. Throws Untrusted unless every directory on the way (that of each link's
 * path too) and the end itself belong to root or `uid` and are writable by nobody else. An access control list shows in the group's bits.
 * A sticky directory may be writable by all when its next entry belongs to root or `uid`: nobody else can rename or remove that one.
 *
 * Preconditions: ids are the host's. In a user namespace that does not map root, root's files and any stranger's look alike, and nothing is trusted.
 */
export const followTrusted = (path: string, uid: number): { path: string; stat: Stats } => {
  if (!isAbsolute(path)) throw new Untrusted('its path is not absolute', `${path} is relative to a directory that anyone may have chosen`);
  const owned = ({ uid: owner }: Stats): boolean => owner === 0 || owner === uid;
  const pending = partsOf(path);
  let at = '/';
  let stat = look(at);
  for (let links = 0; pending.length > 0;) {
    const name = pending.pop()!;
    const next = name === '..' ? dirname(at) : join(at, name);
    if (!stat.isDirectory()) throw new Untrusted('it does not exist', `${at} is no directory, so ${path} does not exist`);
    const entry = look(next);
    checkDirectory(at, stat, entry, owned);
    if (entry.isSymbolicLink()) {
      if (++links > MAX_LINKS) throw new Untrusted('it is behind too many links', `${path} leads through more than ${MAX_LINKS} links`);
      const target = readlinkSync(next);
      pending.push(...partsOf(target));
      if (isAbsolute(target)) at = '/';
    } else at = next;
    stat = look(at);
  }
  if (!owned(stat)) throw new Untrusted('it belongs to somebody else', `${at} belongs to uid ${stat.uid}`);
  if (writableByOthers(stat)) throw new Untrusted('it is writable by others', `${at} has mode ${modeOf(stat)}`);
  return { path: at, stat };
};

/** The names of a path, the first one last; a slash at its end demands a directory, as `.` does. */
const partsOf = (path: string): string[] => {
  const names = path.replace(/\/+$/, '/.').split('/');
  return names.filter((name) => name !== '').reverse();
};

// Whether only root and we decide what is found under this entry of the directory.
const checkDirectory = (path: string, stat: Stats, entry: Stats, owned: (stat: Stats) => boolean): void => {
  if (!owned(stat)) throw new Untrusted('a directory on the way to it belongs to somebody else', `${path} belongs to uid ${stat.uid}`);
  if (!writableByOthers(stat) || ((stat.mode & STICKY) !== 0 && owned(entry))) return;
  throw new Untrusted('a directory on the way to it is writable by others', `${path} has mode ${modeOf(stat)}`);
};

const look = (path: string): Stats => {
  try {
    return lstatSync(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) throw new Untrusted('it does not exist', `${path} does not exist`);
    throw new Untrusted('it cannot be reached', error instanceof Error ? error.message : String(error));
  }
};

const writableByOthers = ({ mode }: Stats): boolean => (mode & WRITABLE_BY_OTHERS) !== 0;
const modeOf = ({ mode }: Stats): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** Every program of this name in the absolute directories of a `PATH`, in its order. A relative one, or an empty one, would mean a project's directory. */
export const programsOnPath = (name: string, path: string): string[] =>
  path
    .split(':')
    .filter(isAbsolute)
    .map((dir) => join(dir, name))
    .filter((file) => isExecutable(file) && statSync(file).isFile());

/** Whether this process may execute it, links followed. */
export const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
