/** Runs a scenario of fixtures/inside.mjs one namespace down, as the user of this mode, and returns what it printed. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { makeDirectory } from '../e2e/harness/home.ts';
import { installation } from '../e2e/harness/installation.ts';
import { identity } from '../e2e/harness/mode.ts';

/** What hangs is a failure: nothing else could end this test. */
const MOST_MS = 120_000;

export interface Run {
  readonly directory: string;
  /** what the scenario returned */
  readonly result: unknown;
}

/** Throws when the scenario fails, with what it wrote to stderr. */
export const enclosed = (
  scenario: string,
  { stdin = '', env = {} }: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Run => {
  const directory = makeDirectory('enclosed');
  const { status, stdout, stderr } = runFixture('enclosed.mjs', [scenario, directory], { stdin, env });
  expect([status, stderr]).toEqual([0, '']);
  return { directory, result: JSON.parse(stdout) };
};

/** Runs a fixture that uses what is built, as the user of this mode. */
export const runFixture = (
  name: string,
  args: readonly string[],
  { stdin = '', env = {} }: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): { status: number | null; stdout: string; stderr: string } => {
  const { node, root } = installation();
  const options = {
    ...identity,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', ...env },
    input: stdin,
    encoding: 'utf8',
    timeout: MOST_MS,
    killSignal: 'SIGKILL',
  } as const;
  return spawnSync(node, [join(root, 'test/fixtures', name), ...args], options);
};
