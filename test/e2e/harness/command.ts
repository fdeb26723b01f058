/** `cellwall` as a command that is run to its end: its streams whole, its exit code, and what of it is on the host meanwhile. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { makeHome, type Home } from './home.ts';
import { installation } from './installation.ts';
import { identity } from './mode.ts';
import { startCellwall, type ServerOptions } from './server.ts';

export interface Finished {
  /** null where a signal ended cellwall itself */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs `cellwall ARGS…` with this input. */
export const runCellwall = async (args: readonly string[], options: Omit<ServerOptions, 'args'> & { readonly stdin?: Buffer } = {}): Promise<Finished> => {
  const child = startCellwall({ ...options, args });
  child.stdin.on('error', () => {}); // a command need not read it
  child.stdin.end(options.stdin);
  return finish(child);
};

/** The end of a process and all that it printed. It is ended with the test. */
export const finish = async (child: ChildProcessWithoutNullStreams): Promise<Finished> => {
  onTestFinished(() => void child.kill('SIGKILL'));
  const [stdout, stderr, [code]] = await Promise.all([buffer(child.stdout), buffer(child.stderr), once(child, 'close') as Promise<[number | null]>]);
  return { code, stdout, stderr: String(stderr) };
};

/** Runs a program before `cellwall ARGS…`: `program` gets the words that call it as its last arguments. */
export const runBefore = async (
  program: readonly [string, ...string[]],
  args: readonly string[],
  { home = makeHome(), cwd, env = {} }: { readonly home?: Home; readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Finished> => {
  const { node, root } = installation();
  const [command, ...first] = program;
  const words = [...first, node, join(root, 'dist/src/main.js'), ...args];
  const child = spawn(command, words, { ...identity, cwd: cwd ?? home.directory, env: { ...home.env, ...env }, stdio: 'pipe' });
  child.stdin.end();
  return finish(child);
};
