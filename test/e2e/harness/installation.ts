/** What a server is made of, where the user of this mode can read it: the checkout itself, or a copy where that lies behind closed doors. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { inject } from 'vitest';
import { identity } from './mode.ts';

export interface Installation {
  /** the directory of `dist`, `policies`, `package.json` and `test/fixtures` */
  readonly root: string;
  /** the program `node` */
  readonly node: string;
}

const CHECKOUT = join(import.meta.dirname, '../../..');
const PARTS = ['dist', 'policies', 'package.json', 'test/fixtures'];

let found: Installation | undefined;

/** The installation for this mode; the first call in a run may make a copy. */
export const installation = (): Installation => (found ??= { root: rootFor(), node: nodeFor() });

const rootFor = (): string => (canRead(...PARTS.map((part) => join(CHECKOUT, part)), join(CHECKOUT, 'node_modules')) ? CHECKOUT : once('installation', copyTo));

const nodeFor = (): string => {
  if (canRead(process.execPath)) return process.execPath;
  return join(
    once('node', (copy) => copyFileSync(process.execPath, join(copy, 'node'))),
    'node',
  );
};

// Whether the user of this mode can read what lies at these places. Of the packages a look at their descriptions is enough.
const canRead = (...places: readonly string[]): boolean => {
  const { status, stdout } = spawnSync('find', ['-L', ...places, '-maxdepth', '4', '!', '-readable', '-print', '-quit'], {
    ...identity,
    cwd: '/',
    encoding: 'utf8',
  });
  return status === 0 && stdout === '';
};

const copyTo = (copy: string): void => {
  const dependencies = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: CHECKOUT, encoding: 'utf8' }).trim().split('\n').slice(1);
  const parts = [...PARTS, ...dependencies.map((path) => relative(CHECKOUT, path))];
  for (const part of parts) cpSync(join(CHECKOUT, part), join(copy, part), { recursive: true, dereference: true });
  execFileSync('chmod', ['-R', 'go+rX', copy]);
};

/** Makes a directory of this run that all its test files share; the first to come makes it, under another name until it is whole. */
export const once = (name: string, make: (directory: string) => void): string => {
  const place = join(inject('runDirectory'), name);
  if (existsSync(place)) return place;
  const draft = mkdtempSync(`${place}-`);
  chmodSync(draft, 0o755);
  make(draft);
  try {
    renameSync(draft, place);
  } catch (error) {
    if (!existsSync(place)) throw error;
    rmSync(draft, { recursive: true, force: true }); // another test file was faster
  }
  return place;
};
