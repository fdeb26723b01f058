/** A home for a server: directories of its own, and a cache in which `cellwall setup` seems to have been. */
import { chownSync, copyFileSync, existsSync, lchownSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { inject } from 'vitest';
import { cachedRunsc } from '../../../src/runtime/gvisor/runsc.ts';
import { once } from './installation.ts';
import { user } from './mode.ts';

export interface Home {
  readonly directory: string;
  /** the state directory that a server with this environment uses */
  readonly stateDir: string;
  readonly cacheDir: string;
  /** the whole environment of a server */
  readonly env: Readonly<Record<string, string>>;
}

/** Makes a home that belongs to the user of this mode. `runsc: false` leaves the cache empty. */
export const makeHome = ({ runsc = true }: { readonly runsc?: boolean } = {}): Home => {
  const directory = mkdtempSync(join(inject('runDirectory'), 'home-'));
  own(directory);
  const [cache, state, config, tmp] = [
    own(join(directory, 'cache')),
    own(join(directory, 'state')),
    own(join(directory, 'config')),
    own(join(directory, 'tmp')),
  ];
  const cacheDir = join(cache, 'cellwall');
  if (runsc) seedRunsc(cacheDir);
  return {
    directory,
    stateDir: join(state, 'cellwall'),
    cacheDir,
    env: {
      HOME: directory,
      XDG_CACHE_HOME: cache,
      XDG_STATE_HOME: state,
      XDG_CONFIG_HOME: config,
      TMPDIR: tmp,
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      LANG: 'C.UTF-8',
    },
  };
};

/** Makes a directory at this path that belongs to the user of this mode. */
export const own = (path: string): string => {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, user.uid, user.gid);
  return path;
};

/** Makes a directory, with the files named, that belongs to the user of this mode: a context for a client to name. */
export const makeDirectory = (prefix: string, write: (directory: string) => void = () => {}): string => {
  const directory = mkdtempSync(join(inject('runDirectory'), `${prefix}-`));
  write(directory);
  giveAway(directory);
  return directory;
};

// Links are given away themselves and never followed: they may lead anywhere.
const giveAway = (path: string): void => {
  lchownSync(path, user.uid, user.gid);
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) giveAway(join(path, name));
};

// One copy a run, linked into every home: runsc is some 40 MB.
const seedRunsc = (cacheDir: string): void => {
  const place = cachedRunsc(cacheDir);
  own(cacheDir);
  own(dirname(dirname(place)));
  own(dirname(place));
  const kept = once('runsc', (copy) => {
    for (const [from, name] of runscFiles()) {
      copyFileSync(from, join(copy, name));
      chownSync(join(copy, name), user.uid, user.gid);
    }
  });
  for (const name of readdirSync(kept)) linkSync(join(kept, name), join(dirname(place), name));
};

// What `cellwall setup` made for us, with what it recorded beside it; or the one that CELLWALL_RUNSC names.
const runscFiles = (): readonly (readonly [path: string, name: string])[] => {
  const named = process.env['CELLWALL_RUNSC'];
  if (named) return [[named, 'runsc']];
  const made = cachedRunsc(join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cellwall'));
  if (!existsSync(made)) throw new Error(`there is no runsc at ${made}: run \`npm run setup\`, or name one by CELLWALL_RUNSC`);
  return readdirSync(dirname(made)).map((name) => [join(dirname(made), name), basename(name)] as const);
};
