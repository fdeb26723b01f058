/** Which directories of the host may become a context. What a client names is opened first and judged by where the kernel says it is. */
import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { SandboxError } from '../errors.ts';
import { hasCode } from '../syscall/call.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY, RESOLVE_NO_MAGICLINKS } from '../syscall/constants.ts';
import { openat2, pathOf, withFd, type Fd } from '../syscall/files.ts';
import { homeDirectories } from './homes.ts';
import { byteStringOf, bytesOf, isAtOrBelow, shownName, type ByteString } from './names.ts';
import { secretDirectoriesOf } from './context/secrets.ts';

/** What may be copied, as the composition root worked it out. Paths are absolute; one that does not exist allows nothing. */
export interface AllowedRoots {
  /** a context lies at or below one of these */
  readonly roots: readonly string[];
  /** those among them that the operator named by `--context` or `--allow-root`: only they open a directory of secrets */
  readonly operator: readonly string[];
  /** home directories of this machine, canonical; left out: looked up */
  readonly homes?: readonly string[];
}

/** A directory that may be copied: its descriptor, which the caller closes, and its canonical path. */
export interface OpenedContext {
  readonly fd: Fd;
  readonly path: string;
}

/** What tells a directory from others, also after the machine was started anew. */
export const identityOf = (directory: Fd): string => {
  const { ino, birthtimeNs } = fstatSync(directory, { bigint: true });
  return `${ino} ${birthtimeNs}`;
};

/** longest path that the kernel takes, in bytes with its NUL */
const PATH_MAX = 4096;

/**
 * Opens the context that a client names, for reading.
 * Throws INVALID_PARAMS for a path that is not absolute, CONTEXT_NOT_FOUND for what is not a directory, and CONTEXT_REFUSED for what lies
 * outside the allowed roots or in a directory of secrets, whether or not it exists: nothing is told about what is not allowed.
 */
export const openContext = (context: string, allowed: AllowedRoots): OpenedContext => {
  const path = byteStringOf(context);
  if (!path.startsWith('/') || path.includes('\0') || path.length >= PATH_MAX) {
    throw new SandboxError(
      'INVALID_PARAMS',
      `expected \`context\` to be the absolute path of a directory, shorter than ${PATH_MAX} bytes, got ${quoted(context)}`,
    );
  }
  const opened = openAllowed(path, allowed);
  if (typeof opened === 'object') return { fd: opened.fd, path: textOf(opened, context) };
  if (opened === 'missing') {
    throw new SandboxError('CONTEXT_NOT_FOUND', `context ${quoted(context)} was not found: there is no such directory`);
  }
  throw new SandboxError('CONTEXT_REFUSED', `context ${quoted(context)} is refused: ${WHY[opened]}`, opened === 'secret' ? { hint: SECRET_HINT } : {});
};

/** Why a directory is not opened. */
type Refusal = 'outside' | 'secret' | 'unreadable' | 'missing';
const WHY = {
  outside: 'it lies outside the allowed roots',
  secret: 'it lies in a directory that holds secrets or settings of a user',
  unreadable: 'the server may not read it',
};
const SECRET_HINT = 'use a directory elsewhere, or start cellwall with --context or --allow-root on exactly this directory';

const quoted = (context: string): string => JSON.stringify(context.length > 200 ? `${context.slice(0, 200)}…` : context);

/** Opens a directory by its absolute path where the allowed roots hold it, else tells why not. The caller closes the descriptor. */
export const openAllowed = (path: ByteString, allowed: AllowedRoots): { fd: Fd; path: ByteString } | Refusal => {
  const opened = openCanonical(path, O_RDONLY);
  if (typeof opened === 'object') {
    const refusal = refusalOf(opened.path, allowed);
    if (refusal === null) return opened;
    closeSync(opened.fd);
    return refusal;
  }
  // A root that is gone is told as gone: it was named, and nothing else of what is not allowed is told by that.
  return allowed.roots.some((root) => byteStringOf(root) === path) ? opened : (refusalOf(nearestPath(path), allowed) ?? opened);
};

// The descriptor comes first and its path from the kernel: whatever is renamed or linked meanwhile, this path is that of what was opened.
const openCanonical = (path: ByteString, flags: number): { fd: Fd; path: ByteString } | 'missing' | 'unreadable' => {
  let fd: Fd;
  try {
    fd = openat2(AT_FDCWD, bytesOf(path), flags | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM')) return 'unreadable';
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG')) return 'missing';
    throw error;
  }
  const canonical = readlinkSync(pathOf(fd), 'latin1');
  const isDeleted = canonical.endsWith(' (deleted)') && fstatSync(fd).nlink === 0;
  if (canonical.startsWith('/') && !isDeleted) return { fd, path: canonical };
  closeSync(fd);
  return 'missing';
};

// Where the nearest directory at or above a path really lies, for a path that cannot be read itself.
const nearestPath = (path: ByteString): ByteString => {
  for (let above = path; ; above = posix.dirname(above)) {
    const opened = openCanonical(above, O_PATH);
    if (typeof opened === 'object') return withFd(opened.fd, () => opened.path);
    if (above === '/') return '/';
  }
};

const refusalOf = (path: ByteString, { roots, operator, homes = homeDirectories() }: AllowedRoots): 'outside' | 'secret' | null => {
  if (!canonicalPaths(roots).some((root) => isAtOrBelow(path, root))) return 'outside';
  const closed = [...secretDirectoriesOf(path), ...dotDirectoriesOf(path, homes)];
  const opening = canonicalPaths(operator);
  return closed.every((directory) => opening.some((root) => isAtOrBelow(root, directory))) ? null : 'secret';
};

const canonicalPaths = (paths: readonly string[]): ByteString[] =>
  paths.flatMap((path) => {
    const opened = path.startsWith('/') ? openCanonical(byteStringOf(path), O_PATH) : 'missing';
    return typeof opened === 'object' ? withFd(opened.fd, () => [opened.path]) : [];
  });

/** The dot-directories of homes that hold a canonical path: `~/.config` for `~/.config/nvim/lua`. */
const dotDirectoriesOf = (path: ByteString, homes: readonly string[]): ByteString[] =>
  homes.map(byteStringOf).flatMap((home) => {
    const name = path.startsWith(`${home}/`) ? path.slice(home.length + 1).split('/', 1)[0] : undefined;
    return name?.startsWith('.') ? [`${home}/${name}`] : [];
  });

// Names go to clients as text and back: a context at a path that is not UTF-8 could not be named again.
const textOf = ({ fd, path }: { fd: Fd; path: ByteString }, context: string): string => {
  const bytes = bytesOf(path);
  if (isUtf8(bytes)) return bytes.toString();
  closeSync(fd);
  throw new SandboxError('CONTEXT_REFUSED', `context ${quoted(context)} is refused: the path that it leads to is not UTF-8`);
};

/**
 * Why a directory may not become a root that nobody named: the working directory, `CLAUDE_PROJECT_DIR`, a client's root; null when it may.
 * Neither `/` nor a home or what is above one, nor a directory of secrets. The reason goes to the operator and names the path.
 */
export const implicitRootRefusal = (path: string, homes: readonly string[] = homeDirectories()): string | null => {
  const [canonical] = canonicalPaths([path]);
  if (canonical === undefined) return `${shownName(byteStringOf(path))} is not a directory that can be opened`;
  const shown = shownName(canonical);
  if (canonical === '/') return '/ is the whole machine';
  if (homes.some((home) => isAtOrBelow(byteStringOf(home), canonical))) return `${shown} is or holds a home directory`;
  const [secret] = [...secretDirectoriesOf(canonical), ...dotDirectoriesOf(canonical, homes)];
  return secret === undefined ? null : `${shown} lies in ${shownName(secret)}, which holds secrets or settings`;
};
