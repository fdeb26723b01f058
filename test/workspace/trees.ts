/** Trees of files for tests: made from a description, and read back as one. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openDirectory, pathOf, setTimes, withFd } from '../../src/syscall/files.ts';
import type { ContextCopy } from '../../src/workspace/context/context.ts';
import type { Owner } from '../../src/workspace/context/filework.ts';
import type { AllowedRoots } from '../../src/workspace/roots.ts';
import type { ContextRules } from '../../src/workspace/context/rules.ts';
import { materialize, openSnapshots } from '../../src/workspace/store/store.ts';

/** A file by its content, a link, or a directory by what it holds; names one character a byte. */
export type Tree = { readonly [name: string]: string | Buffer | Link | Tree };
export interface Link {
  readonly link: string;
}
const isLink = (node: Link | Tree): node is Link => typeof node['link'] === 'string';
export const linkTo = (target: string): Link => ({ link: target });

const made: string[] = [];
afterAll(() => {
  // rm takes away what is deeper than a path can say.
  if (made.length > 0) execFileSync('rm', ['-rf', ...made]);
});

/** An empty directory of this test file, by its canonical path; gone when its tests are over. */
export const newDirectory = (): string => {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-context-')));
  made.push(path);
  return path;
};

/** Makes what a tree describes in a directory, by default a new one, and returns the directory's path. */
export const makeTree = (tree: Tree, path: string = newDirectory()): string => {
  const dir = openSync(Buffer.from(path, 'latin1'), constants.O_RDONLY);
  try {
    for (const [name, node] of Object.entries(tree)) {
      const place = Buffer.from(`${pathOf(dir)}/${name}`, 'latin1');
      if (typeof node === 'string' || Buffer.isBuffer(node)) writeFileSync(place, node);
      else if (isLink(node)) symlinkSync(Buffer.from(node.link, 'latin1'), place);
      else {
        mkdirSync(place, { recursive: true });
        makeTree(node, place.toString('latin1'));
      }
    }
  } finally {
    closeSync(dir);
  }
  return path;
};

/** What is below a directory, by path: type, mode, time and content of each, as text. */
export const readTree = (path: string, prefix = ''): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const name of readdirSync(Buffer.from(path, 'latin1'), 'latin1').sort()) {
    const place = Buffer.from(`${path}/${name}`, 'latin1');
    const stats = lstatSync(place, { bigint: true });
    const [mode, time] = [(stats.mode & 0o7777n).toString(8), stats.mtimeNs];
    if (stats.isSymbolicLink()) found[prefix + name] = `link ${time} ${readlinkSync(place, 'latin1')}`;
    else if (stats.isFile()) found[prefix + name] = `file ${mode} ${time} ${readFileSync(place, 'latin1')}`;
    else {
      found[prefix + name] = `directory ${mode} ${time}`;
      Object.assign(found, readTree(place.toString('latin1'), `${prefix}${name}/`));
    }
  }
  return found;
};

/** Only the names below a directory, those of directories with a slash. */
export const namesIn = (path: string): string[] => Object.entries(readTree(path)).map(([name, what]) => (what.startsWith('directory') ? `${name}/` : name));

/** Sets a mode, if any, and a time in `ns`; the path one character a byte. */
export const stamp = (path: string, mode: number | null, timeNs: bigint): void => {
  if (mode !== null) chmodSync(Buffer.from(path, 'latin1'), mode);
  withFd(openDirectory('/'), (top) => setTimes(top, Buffer.from(path.slice(1), 'latin1'), timeNs, timeNs));
};

const RULES: ContextRules = { exclude: [], include: [], maxFiles: 10_000, maxBytes: 10_000_000 };
export const NO_ROOTS: AllowedRoots = { roots: [], operator: [], homes: [] };

type Changes = Partial<ContextRules> & { allowed?: AllowedRoots; owner?: Owner; signal?: AbortSignal; destination?: string };
const NEVER = new AbortController().signal;

/** Copies a directory into a new one, by way of a snapshot, and returns what is told about it together with the new one's path. */
export const copyTree = async (path: string, { allowed = NO_ROOTS, owner = null, signal = NEVER, destination = newDirectory(), ...rules }: Changes = {}) => {
  const [from, to] = [openDirectory(path), openDirectory(destination)];
  try {
    const store = openSnapshots(join(newDirectory(), 'snapshots'));
    const snapshot = await store.take({ fd: from, path }, { rules: { ...RULES, ...rules }, allowed, verify: false }, signal);
    await materialize(snapshot, to, owner, { signal }).finally(() => snapshot.release());
    return { ...snapshot.facts, path: destination };
  } finally {
    closeSync(from);
    closeSync(to);
  }
};

/** What was left out and why, by path. */
export const reasonsOf = ({ skipped }: ContextCopy): Record<string, string> => Object.fromEntries(skipped.map(({ path, reason }) => [path, reason]));
