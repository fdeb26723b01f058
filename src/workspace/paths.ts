/** Paths as clients give them, and what they mean in a sandbox. Pure: nothing is looked at, what a link means is the kernel's to say. */
import { posix } from 'node:path';
import { SandboxError } from '../errors.ts';
import { byteStringOf, isAtOrBelow, type ByteString } from './names.ts';

/** Where the workspace is inside. */
export const WORKSPACE = '/workspace';
/** longest path that the kernel takes, in `bytes` with its NUL   man 3 pathconf */
const PATH_MAX = 4096;
/** longest quoted form of such a path: every byte as `\ooo`, and the quotes */
const QUOTED_MAX = 4 * PATH_MAX + 2;

/**
 * The absolute path inside the sandbox that a client names: absolute, relative to `/workspace`, or at or below `contextPath`, the context's
 * directory on the host (null for none), which means its copy. A name quoted as git does is read back.
 * Throws PATH_NOT_FOUND for what no file can be called: an empty path, one with a NUL, one that is too long.
 */
export const pathInside = (given: string, contextPath: string | null): ByteString => {
  const named = given.length > QUOTED_MAX ? null : unquote(byteStringOf(given));
  if (named === null || named.length >= PATH_MAX) throw notFound(given, 'it is longer than a path can be');
  if (named === '') throw notFound(given, 'it is empty');
  if (named.includes('\0')) throw notFound(given, 'it holds a NUL byte, which no name does');
  if (!named.startsWith('/')) return `${WORKSPACE}/${named}`;
  const context = contextPath === null ? '/' : posix.resolve('/', byteStringOf(contextPath));
  const plain = posix.normalize(named).replace(/^\/+/, '/');
  const isInContext = context !== '/' && isAtOrBelow(plain, context);
  return isInContext ? `${WORKSPACE}${plain.slice(context.length)}` : named;
};

/** The refusal for a path that leads to nothing; `given` as the client gave it. */
export const notFound = (given: string, why: string): SandboxError => new SandboxError('PATH_NOT_FOUND', `${shownPath(given)} was not found: ${why}`);

const LONGEST_SHOWN = 200;

/** A path as the client gave it, for a message: in quotes, cut where it is long. */
export const shownPath = (given: string): string => {
  const short = given.length > LONGEST_SHOWN ? `${given.slice(0, LONGEST_SHOWN)}…` : given;
  return /\p{Cc}/u.test(short) || !short.startsWith('"') ? JSON.stringify(short) : short;
};

/** Whether an absolute path lies where only the sandbox sees something: its kernel's file systems, but not `/dev/shm`, which is in the tree. */
export const isOnlyInside = (path: ByteString): boolean => {
  const place = posix.resolve(path);
  return ['/proc', '/sys', '/dev'].some((top) => isAtOrBelow(place, top)) && !isAtOrBelow(place, '/dev/shm');
};

const QUOTED = /^"((?:[^"\\]|\\(?:[abtnvfr"\\]|[0-3][0-7]{2}))*)"$/;
const ESCAPES: Record<string, string> = { a: '\x07', b: '\b', t: '\t', n: '\n', v: '\v', f: '\f', r: '\r' };

// What stands between the quotes of git's form; anything else is meant as it stands.
const unquote = (path: ByteString): ByteString => {
  const quoted = QUOTED.exec(path)?.[1];
  if (quoted === undefined) return path;
  return quoted.replace(/\\([0-7]{3}|.)/g, (_, escape: string) => ESCAPES[escape] ?? (escape.length === 3 ? String.fromCharCode(parseInt(escape, 8)) : escape));
};
