/** What git tracks and the copy does not have: git shows it as deleted inside, so the client is told. */
import { closeSync, fstatSync, readFile } from 'node:fs';
import { promisify } from 'node:util';
import { hasCode } from '../../syscall/call.ts';
import { O_RDONLY } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import type { Entry, LeftOut } from './entry.ts';
import { openBeneath } from '../folders.ts';
import { readGitIndex } from './gitindex.ts';
import { listed, shownName, splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';

const INDEX = '.git/index';
/** most indexes that are read, and largest one in `bytes` */
const MAX_INDEXES = 100;
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const NAMED = 10;

/** The warning, if any, about what is left out and tracked: by the indexes in the copy at `destination`, its own and those of repositories within. */
export const trackedWarnings = async (leftOut: readonly LeftOut[], entries: readonly Entry[], destination: Fd, pace: Pace): Promise<string[]> => {
  const missing = new Set(leftOut.map(({ path }) => path));
  const tracked = new Set<ByteString>();
  const indexes = entries.filter(({ path, type }) => type === 'file' && (path === INDEX || path.endsWith(`/${INDEX}`))).slice(0, MAX_INDEXES);
  for (const { path } of missing.size === 0 ? [] : indexes) {
    const top = path.slice(0, -INDEX.length);
    const index = await readIndex(destination, path);
    for (const name of (index && readGitIndex(index)) ?? []) {
      if (pace.due()) await pace.rest();
      for (let at = top + name; at !== ''; at = splitName(at).folder) if (missing.has(at)) tracked.add(at);
    }
  }
  if (tracked.size === 0) return [];
  const names = listed([...tracked].map(shownName), NAMED);
  return [`left out although git tracks it: ${names}; git shows it as deleted inside, and what was committed stays in .git/objects`];
};

// From the copy, which holds still.
const readIndex = async (destination: Fd, path: ByteString): Promise<Buffer | null> => {
  let fd: Fd;
  try {
    fd = openBeneath(destination, path, O_RDONLY);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES')) return null;
    throw error;
  }
  try {
    return fstatSync(fd).size > MAX_INDEX_BYTES ? null : await promisify(readFile)(fd);
  } finally {
    closeSync(fd);
  }
};
