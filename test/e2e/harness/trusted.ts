/** Places that only root or the user of this mode can write, all the way up: where an operator keeps policies. */
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { user } from './mode.ts';

/** A directory of the user of this mode, removed at the end of the test. */
export const makeTrusted = (): string => make(onTestFinished);

type Profile = Readonly<Record<string, unknown>>;

/** Writes profiles into a new trusted directory, each under its `name`; what they leave out is offline's. */
export const makePolicies = (profiles: Readonly<Record<string, Profile>>): string => write(makeTrusted(), profiles);

/** The same for all tests of a file or of a `describe`. */
export const sharePolicies = (profiles: Readonly<Record<string, Profile>>): (() => string) => shareTrusted((directory) => write(directory, profiles));

/** A directory of the user of this mode for all tests of a file or of a `describe`. */
export const shareTrusted = (fill: (directory: string) => void): (() => string) => {
  let directory = '';
  const atEnd: (() => void)[] = [];
  beforeAll(() => {
    directory = make((end) => atEnd.push(end));
    fill(directory);
  });
  afterAll(() => {
    for (const end of atEnd) end();
  });
  return () => directory;
};

/** Writes one file that belongs to the user of this mode. */
export const writeOwned = (path: string, content: string): void => {
  writeFileSync(path, content);
  chownSync(path, user.uid, user.gid);
};

/** Sections of a profile, each with the reason that it has to give. */
export const sections = (given: Readonly<Record<string, Profile>>): Profile =>
  Object.fromEntries(Object.entries(given).map(([name, fields]) => [name, { ...fields, why: 'A test needs it.' }]));

// Below the temporary directory nothing is trusted: everybody may write there.
const make = (onEnd: (end: () => void) => void): string => {
  const directory = mkdtempSync(join(process.getuid!() === 0 ? '/var/lib' : homedir(), 'cellwall-test-'));
  chownSync(directory, user.uid, user.gid);
  onEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

const write = (directory: string, profiles: Readonly<Record<string, Profile>>): string => {
  for (const [name, profile] of Object.entries(profiles)) writeOwned(join(directory, `${name}.json`), JSON.stringify({ name, extends: 'offline', ...profile }));
  return directory;
};
