/** A sandbox under test, and what it answers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect } from 'vitest';
import { z } from 'zod';
import type { CallOptions } from './client.ts';
import { shareServer, type Server, type ServerOptions } from './server.ts';

const ExecAnswer = z.strictObject({
  exec_id: z.string(),
  status: z.string(),
  exit_code: z.number().nullable(),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  stdout_bytes: z.number(),
  stderr_bytes: z.number(),
  truncated: z.boolean(),
  output_path: z.string(),
  duration_ms: z.number(),
});
export type ExecAnswer = z.output<typeof ExecAnswer>;

const Listing = z.object({ sandboxes: z.array(z.object({ sandbox_id: z.string() })) });

type Params = Readonly<Record<string, unknown>>;

export interface Box {
  readonly id: string;
  readonly server: Server;
  /** what sandbox_create answered */
  readonly created: Params;
  /** Runs a shell line, or a program with its arguments. */
  exec(command: string | readonly string[], params?: Params, options?: CallOptions): Promise<ExecAnswer>;
  /** Starts a command that goes on, and resolves with its id when it has said what is waited for. */
  begin(command: string | readonly string[], said: RegExp, params?: Params): Promise<string>;
  /** stdout of a command that has to succeed */
  run(command: string | readonly string[], params?: Params): Promise<string>;
  /** stdout of a Python program of test/fixtures */
  python(fixture: string, ...args: readonly string[]): Promise<string>;
  /** what git would know of the workspace, as gitTree tells it of a directory of the host */
  gitTree(): Promise<Record<string, string>>;
  /** Exchanges two names for ever, from the moment on that this resolves; with the id of the command that does it. */
  swap(first: string, second: string): Promise<string>;
  wait(execId: string, params?: Params, options?: CallOptions): Promise<ExecAnswer>;
  read(path: string, params?: Params): Promise<Params>;
  destroy(): Promise<Params>;
}

/** Creates a sandbox; without parameters one with an empty workspace. */
export const createBox = async (server: Server, params: Params = { context: 'none' }): Promise<Box> => {
  const created = await server.call('sandbox_create', params);
  const id = String(created['sandbox_id']);
  const sandbox = { sandbox_id: id };
  server.look(); // from now on its names are known
  const exec: Box['exec'] = async (command, more = {}, options = {}) => {
    const what = typeof command === 'string' ? { command } : { argv: command };
    return ExecAnswer.parse(await server.call('sandbox_exec', { ...sandbox, ...what, ...more }, options));
  };
  const wait: Box['wait'] = async (exec_id, more = {}, options = {}) =>
    ExecAnswer.parse(await server.call('sandbox_wait', { ...sandbox, exec_id, ...more }, options));
  const begin: Box['begin'] = async (command, said, more = {}) => {
    let answer = await exec(command, { timeout_ms: 0, ...more, wait_ms: 0 });
    for (let output = answer.stdout; !said.test(output); output += answer.stdout) {
      expect(answer, `it ends without having said ${String(said)}`).toMatchObject({ status: 'running' });
      answer = await wait(answer.exec_id, { wait_ms: 20 });
    }
    return answer.exec_id;
  };
  const run: Box['run'] = async (command, more) => {
    const { status, exit_code, stderr, stdout } = await exec(command, more);
    expect({ status, exit_code, stderr }, `of ${JSON.stringify(command).slice(0, 200)}`).toEqual({ status: 'exited', exit_code: 0, stderr: '' });
    return stdout;
  };
  const python = (fixture: string, args: readonly string[], max_output_bytes: number): Promise<string> =>
    run(['python3', '-', ...args], { stdin: textOf(fixture), max_output_bytes });
  return {
    id,
    server,
    created,
    exec,
    run,
    python: (fixture, ...args) => python(fixture, args, 100_000),
    gitTree: async () => JSON.parse(await python('git-tree.py', [], 1_000_000)) as Record<string, string>,
    swap: (first, second) => begin(['python3', '-c', textOf('swap.py'), first, second], /swapping/),
    wait,
    begin,
    read: (path, more = {}) => server.call('sandbox_read', { ...sandbox, path, ...more }),
    destroy: () => server.call('sandbox_destroy', sandbox),
  };
};

/** Destroys what a test has left, so that the next one begins without. */
export const destroyAll = async (server: Server): Promise<void> => {
  const { sandboxes } = Listing.parse(await server.call('sandbox_list'));
  await Promise.all(sandboxes.map(({ sandbox_id }) => server.call('sandbox_destroy', { sandbox_id })));
};

/** One sandbox for all tests of a file or of a `describe`, on a server of its own. */
export const shareBox = (params?: () => Params, options?: () => ServerOptions): (() => Box) => {
  const server = shareServer(options);
  return shareBoxOf(server, params);
};

/** One sandbox of a shared server, for all tests of a file or of a `describe`. */
export const shareBoxOf = (server: () => Server, params?: () => Params): (() => Box) => {
  let box: Box | undefined;
  beforeAll(async () => {
    box = await createBox(server(), params?.());
  });
  return () => box!;
};

const textOf = (fixture: string): string => readFileSync(join(import.meta.dirname, '../../fixtures', fixture), 'utf8');
