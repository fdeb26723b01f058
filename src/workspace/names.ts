/**
 * Names as the kernel has them: bytes. Inside this room a path is a byte string, one character a byte (latin1): nothing of a name that is
 * not UTF-8 is lost, comparing two compares their bytes, and a pattern sees what is there.
 */
import { isUtf8 } from 'node:buffer';
import { pathOf, type Fd } from '../syscall/files.ts';

/** A path or a name, one character a byte. */
export type ByteString = string;

/** The byte string of a text, as its UTF-8 says. */
export const byteStringOf = (text: string): ByteString => Buffer.from(text).toString('latin1');

/** The bytes of a byte string, as node:fs and the kernel take them. */
export const bytesOf = (name: ByteString): Buffer => Buffer.from(name, 'latin1');

/** The bytes through which node:fs reaches `name` in the directory of a descriptor. */
export const bytesBelow = (dir: Fd, name: ByteString): Buffer => bytesOf(`${pathOf(dir)}/${name}`);

/** Joins a directory within the context, `''` for its top, and a name. */
export const joinName = (folder: ByteString, name: ByteString): ByteString => (folder === '' ? name : `${folder}/${name}`);

/** Splits a path within the context into its directory, `''` for the top, and its last name. */
export const splitName = (path: ByteString): { folder: ByteString; name: ByteString } => {
  const slash = path.lastIndexOf('/');
  return { folder: slash < 0 ? '' : path.slice(0, slash), name: path.slice(slash + 1) };
};

/** The directories within the context that hold a path, the nearest first, without the top. */
export const foldersAbove = (path: ByteString): readonly ByteString[] => {
  const { folder } = splitName(path);
  return folder === '' ? [] : [folder, ...foldersAbove(folder)];
};

/** longest path within a context or workspace, in bytes: with `/workspace/` before it the kernel still takes it in one piece */
export const MAX_PATH_BYTES = 4000;

/** Whether a canonical absolute path is `top` or below it, by whole names. */
export const isAtOrBelow = (path: ByteString, top: ByteString): boolean => path === top || path.startsWith(top === '/' ? '/' : `${top}/`);

const ESCAPES: Record<string, string> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
};

/** The text that shows a path: as it is, or quoted as git does (`"a\303\nb"`) where it is not UTF-8, holds control characters or starts with a quote. */
export const shownName = (path: ByteString): string => {
  const bytes = bytesOf(path);
  const text = bytes.toString();
  if (isUtf8(bytes) && !/^"|\p{Cc}/u.test(text)) return text;
  return quotedName(path);
};

/** The first of some words, as many as are named, and how many more there are: `a, b and 3 more`. */
export const listed = (words: readonly string[], most: number): string =>
  `${words.slice(0, most).join(', ')}${words.length > most ? ` and ${words.length - most} more` : ''}`;

/** A path quoted as git does, whatever it holds. */
export const quotedName = (path: ByteString): string =>
  `"${path.replace(/["\\]|[^ -~]/g, (byte) => ESCAPES[byte] ?? `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`)}"`;

/** The text that shows a path to someone who decides by it: as it is where it holds nothing but visible characters and single blanks, else quoted. */
export const plainName = (path: ByteString): string => {
  const text = bytesOf(path).toString();
  return isUtf8(bytesOf(path)) && /^(?!")[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(text) && !/^ | $|  /.test(text) ? text : quotedName(path);
};
