/** What is never brought home, whatever a sandbox says. Told from the names alone, and from whether the file system tells them apart. */
import { lstatSync, readdirSync } from 'node:fs';
import { pathOf, type Fd } from '../../syscall/files.ts';
import type { Change } from '../diff/changes.ts';
import { isLinkKept } from '../context/links.ts';
import { bytesBelow, shownName, type ByteString } from '../names.ts';

/** Characters that HFS+ passes over in a name.   git: utf8.c, next_hfs_char */
const IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu;

/** Whether some file system would take a name for `.git`: by case, by ignored characters, by what Windows drops at its end, by a short name. */
export const isGitName = (name: ByteString): boolean => {
  const text = Buffer.from(name, 'latin1').toString().replaceAll(IGNORED, '');
  const plain = text
    .split(':', 1)[0]!
    .replace(/[. ]+$/, '')
    .toLowerCase();
  return plain === '.git' || /^git~\d+$/.test(plain);
};

/** Why a change is refused, in words; null when it is not. `context`: the canonical path of its directory, `target`: of a link what it says. */
export const refusalOf = ({ path, after }: Pick<Change, 'path' | 'after'>, context: ByteString, target: ByteString | null): string | null => {
  if (path.split('/').some(isGitName)) return `${shownName(path)} belongs to git`;
  if (after?.sha256.startsWith('not read')) return `${shownName(path)} is too large to be compared`;
  if (target !== null && !isLinkKept(context, path, target)) return `the link ${shownName(path)} leads out of the context`;
  return null;
};

/** Paths that a file system which ignores case would take for one; the first pair, null when there is none. */
export const twinsIn = (paths: readonly ByteString[]): readonly [ByteString, ByteString] | null => {
  const seen = new Map<string, ByteString>();
  for (const path of paths) {
    const folded = foldedPath(path);
    const twin = seen.get(folded);
    if (twin !== undefined && twin !== path) return [twin, path];
    seen.set(folded, path);
  }
  return null;
};

const foldedPath = (path: ByteString): string => Buffer.from(path, 'latin1').toString().normalize('NFKC').toLowerCase().normalize('NFKC');

/** Whether a file system takes names that differ in case for one, as far as the names in a directory show: one of them is found in other letters, too. */
export const isOnCaseless = (directory: Fd): boolean => {
  const name = readdirSync(pathOf(directory), 'latin1').find((one) => /[a-zA-Z]/.test(one));
  if (name === undefined) return false;
  const inode = (one: ByteString): bigint | undefined => lstatSync(bytesBelow(directory, one), { bigint: true, throwIfNoEntry: false })?.ino;
  const other = name.replaceAll(/[a-zA-Z]/g, (letter) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()));
  return inode(name) !== undefined && inode(name) === inode(other);
};
