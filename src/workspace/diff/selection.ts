/** Which paths of a workspace a call is about. Pure. */
import { posix } from 'node:path';
import { SandboxError } from '../../errors.ts';
import { foldersAbove, splitName, type ByteString } from '../names.ts';
import { pathInside, shownPath, WORKSPACE } from '../paths.ts';

export interface Selection {
  /** whether an entry belongs to it; paths relative to the workspace, one character a byte */
  holds(path: ByteString): boolean;
  /** whether something at or below a directory may belong to it */
  reaches(folder: ByteString): boolean;
}

/**
 * The files and directories that a client names, and all that is in them; without any, everything. A `.git` and what is in it belongs only to a path that names
 * it or something in it. Throws PATH_REFUSED for what lies outside the workspace, and what pathInside throws.
 */
export const selectionOf = (paths: readonly string[] | undefined, contextPath: string | null): Selection => {
  const tops = new Set((paths === undefined || paths.length === 0 ? ['.'] : paths).map((given) => placeOf(given, contextPath)));
  const above = new Set([...tops].flatMap((top) => (top === '' ? [] : [...foldersAbove(top), ''])));
  const holds = (path: ByteString): boolean => {
    for (let at = path; ; at = splitName(at).folder) {
      if (tops.has(at)) return true;
      if (at === '' || splitName(at).name === '.git') return false;
    }
  };
  return { holds, reaches: (folder) => above.has(folder) || holds(folder) };
};

const placeOf = (given: string, contextPath: string | null): ByteString => {
  const path = posix.resolve(pathInside(given, contextPath));
  if (path === WORKSPACE) return '';
  if (path.startsWith(`${WORKSPACE}/`)) return path.slice(WORKSPACE.length + 1);
  throw new SandboxError('PATH_REFUSED', `${shownPath(given)} is not compared: only what lies in ${WORKSPACE} is`, { hint: `name paths in ${WORKSPACE}` });
};
