import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { createBox, type Box } from './harness/box.ts';
import { makeDirectory, makeHome, type Home } from './harness/home.ts';
import { atMost, holdingsOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { shareServer } from './harness/server.ts';
import { sections, sharePolicies } from './harness/trusted.ts';

let home: Home;
let top: string;
let box: Box;

const policies = sharePolicies({
  narrow: sections({ context: { max_files: 3, max_mb: 1 }, lifetime: { exec_timeout_ms: 5000, ttl_s: 600 } }),
  elsewhere: sections({ runtime: { name: 'native' } }),
});

beforeAll(() => {
  home = makeHome();
  top = makeDirectory('roots', (directory) => {
    for (const name of ['work', 'work/project', 'work/.ssh', 'work/many', 'work-evil', 'outside']) mkdirSync(join(directory, name));
    for (const name of ['work/project/file', 'work/.ssh/id_rsa', 'work-evil/file', 'outside/file']) writeFileSync(join(directory, name), 'content\n');
    for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(directory, 'work/many', name), 'content\n');
    symlinkSync('circle', join(directory, 'work/project/circle'));
    symlinkSync('../outside', join(directory, 'work/link-out'));
    symlinkSync('project', join(directory, 'work/link-in'));
  });
});

const server = shareServer(() => ({ home, args: ['--context', join(top, 'work/project'), '--allow-root', join(top, 'work'), '--policies', policies()] }));

beforeAll(async () => {
  box = await createBox(server(), {});
});

// Each refusal leaves the host as it was. The list of sandboxes is asked first: what a call leaves behind may end a moment later.
let before: Awaited<ReturnType<typeof present>>;
const present = async () => {
  const { sandboxes, quota } = await server().call('sandbox_list');
  return { quota, sandboxes: (sandboxes as object[]).map((one) => ({ ...one, usage: null })), host: server().look(), server: holdingsOf(server()) };
};
beforeEach(async () => {
  before = await present();
});
afterEach(async () => {
  await expect.poll(present, { timeout: 15_000 }).toEqual({ ...before, server: atMost(before.server) });
});

type Params = Record<string, unknown>;
type Case = readonly [claim: string, code: ErrorCode, params: () => Params, named: RegExp];

const within = (name: string): string => join(top, name);

describe(`sandbox_create refuses, as ${mode}`, () => {
  it.each<Case>([
    ['an unknown policy, and names those that are loaded', 'POLICY_UNKNOWN', () => ({ policy: 'offlien' }), /"offlien".*elsewhere, narrow, offline, scratch/],
    ['a policy by a path', 'POLICY_UNKNOWN', () => ({ policy: '../policies/offline' }), /unknown/],
    ['a policy named after a property of every object', 'POLICY_UNKNOWN', () => ({ policy: '__proto__' }), /unknown/],
    [
      'more memory than the policy has',
      'LIMIT_EXCEEDED',
      () => ({ limits: { memory_mb: 2049 } }),
      /memory_mb: asked for 2049, the policy "offline" allows 2048/,
    ],
    ['more processors', 'LIMIT_EXCEEDED', () => ({ limits: { cpus: 2.5 } }), /cpus: asked for 2\.5.* allows 2/],
    ['more processes', 'LIMIT_EXCEEDED', () => ({ limits: { pids: 1025 } }), /pids/],
    ['more disk', 'LIMIT_EXCEEDED', () => ({ limits: { disk_mb: 1_000_000 } }), /disk_mb/],
    ['a longer life', 'LIMIT_EXCEEDED', () => ({ policy: 'narrow', ttl_s: 601 }), /ttl_s: asked for 601.* allows 600/],
    ['a context outside the allowed roots', 'CONTEXT_REFUSED', () => ({ context: within('outside') }), /outside the allowed roots/],
    ['a context whose name only begins like a root', 'CONTEXT_REFUSED', () => ({ context: within('work-evil') }), /outside the allowed roots/],
    ['a context that a link leads out to', 'CONTEXT_REFUSED', () => ({ context: within('work/link-out') }), /outside the allowed roots/],
    ['a context that dots lead out to', 'CONTEXT_REFUSED', () => ({ context: `${within('work')}/../outside` }), /outside the allowed roots/],
    ['the whole machine', 'CONTEXT_REFUSED', () => ({ context: '/' }), /outside the allowed roots/],
    ['a directory of secrets', 'CONTEXT_REFUSED', () => ({ context: within('work/.ssh') }), /secrets/],
    ['a context that does not exist', 'CONTEXT_NOT_FOUND', () => ({ context: within('work/nothing') }), /not found/],
    ['a context that is a file', 'CONTEXT_NOT_FOUND', () => ({ context: within('work/project/file') }), /no such directory/],
    [
      'a context outside that does not exist, without telling so',
      'CONTEXT_REFUSED',
      () => ({ context: within('outside/nothing') }),
      /outside the allowed roots/,
    ],
    ['a relative context', 'INVALID_PARAMS', () => ({ context: 'project' }), /`context`.*absolute path of a directory/],
    ['a context with too many files', 'CONTEXT_TOO_LARGE', () => ({ policy: 'narrow', context: within('work/many') }), /3/],
    ['a runtime that this version does not have', 'RUNTIME_UNAVAILABLE', () => ({ policy: 'elsewhere', context: 'none' }), /native/],
  ])('%s', async (_claim, code, params, named) => {
    const given = params();
    const error = await refused(code, server().call('sandbox_create', given));
    expect(error.message).toMatch(named);
    expectNothingOfTheHost(error.message, home, typeof given['context'] === 'string' ? given['context'] : '');
  });

  it('what is not of the type that it should be, by name', async () => {
    const cases: readonly (readonly [Params, RegExp])[] = [
      [{ colour: 'red' }, /`colour` is unknown/],
      [{ limits: { memory: 5 } }, /`limits\.memory` is unknown/],
      [{ policy: 7 }, /expected `policy` to be a string, got 7 \(number\)/],
      [{ context: ['/'] }, /`context`.*a string, got an array/],
      [{ limits: { cpus: '2' } }, /`limits\.cpus`.*a number, got "2" \(string\)/],
      [{ limits: { cpus: 0 } }, /`limits\.cpus`/],
      [{ limits: { pids: 1.5 } }, /`limits\.pids`/],
      [{ limits: { memory_mb: -1 } }, /`limits\.memory_mb`/],
      [{ limits: [] }, /`limits`/],
      [{ ttl_s: 0 }, /`ttl_s`/],
      [{ env: { A: 1 } }, /`env\.A`.*a string/],
      [{ env: { 'A=B': 'x' } }, /`env\.A=B`/],
      [{ env: { A: 'x\0y' } }, /`env\.A`.*NUL/],
      [{ env: { A: null } }, /`env\.A`/],
      [{ label: 'x'.repeat(101) }, /`label`.*100/],
      [{ label: 'two\nlines' }, /`label`.*printable/],
      [{ label: '\u001b[2J' }, /`label`.*printable/],
    ];
    for (const [params, named] of cases) {
      const error = await refused('INVALID_PARAMS', server().call('sandbox_create', { context: 'none', ...params }));
      expect(error.message).toMatch(named);
    }
  });
});

describe(`sandbox_exec and sandbox_wait refuse, as ${mode}`, () => {
  it.each<Case>([
    ['an unknown sandbox', 'SANDBOX_NOT_FOUND', () => ({ sandbox_id: 'sb_000000000000000000000000', argv: ['true'] }), /sb_0/],
    ['a program that is not there', 'EXEC_FAILED', () => ({ argv: ['no-such-program'] }), /"no-such-program".*does not exist/],
    ['a program that is not there by its path', 'EXEC_FAILED', () => ({ argv: ['/nowhere/program'] }), /"\/nowhere\/program".*does not exist/],
    ['a directory as a program', 'EXEC_FAILED', () => ({ argv: ['/usr'] }), /permission is denied/],
    ['a file that is no program', 'EXEC_FAILED', () => ({ argv: ['/etc/passwd'] }), /permission is denied/],
    ['a program with an empty name', 'EXEC_FAILED', () => ({ argv: [''] }), /cannot be started/],
    ['a working directory that is not there', 'EXEC_FAILED', () => ({ argv: ['true'], cwd: 'no-such-directory' }), /no-such-directory.*does not exist/],
    ['a working directory that is a file', 'EXEC_FAILED', () => ({ argv: ['true'], cwd: '/etc/passwd' }), /no directory/],
    ['a working directory that agent may not enter', 'EXEC_FAILED', () => ({ argv: ['true'], cwd: '/sys/fs/cgroup' }), /permission is denied/],
    ['more time than the policy allows', 'LIMIT_EXCEEDED', () => ({ argv: ['true'], timeout_ms: 3_600_001 }), /3600001 exceeds the 3600000/],
    ['neither a command nor an argv', 'INVALID_PARAMS', () => ({ command: undefined }), /exactly one of `command` and `argv`/],
    ['both a command and an argv', 'INVALID_PARAMS', () => ({ command: 'true', argv: ['true'] }), /exactly one of `command` and `argv`/],
    ['an argv that is empty', 'INVALID_PARAMS', () => ({ argv: [] }), /`argv`.*at least 1/],
    ['an argument with a NUL byte', 'INVALID_PARAMS', () => ({ argv: ['echo', 'a\0b'] }), /`argv\.1`.*NUL/],
    ['a command with a NUL byte', 'INVALID_PARAMS', () => ({ command: 'echo a\0b' }), /`command`.*NUL/],
    ['a cwd with a NUL byte', 'INVALID_PARAMS', () => ({ argv: ['true'], cwd: '/tmp\0' }), /`cwd`.*NUL/],
    ['a negative time-out', 'INVALID_PARAMS', () => ({ argv: ['true'], timeout_ms: -1 }), /`timeout_ms`/],
    ['a time to wait that is no number', 'INVALID_PARAMS', () => ({ argv: ['true'], wait_ms: '5' }), /`wait_ms`.*"5" \(string\)/],
    ['a parameter of another tool', 'INVALID_PARAMS', () => ({ argv: ['true'], path: 'x' }), /`path` is unknown/],
  ])('%s', async (_claim, code, params, named) => {
    const error = await refused(code, server().call('sandbox_exec', { sandbox_id: box.id, ...params() }));
    expect(error.message).toMatch(named);
    expectNothingOfTheHost(error.message, home);
  });

  it('a wait for what was never started, or with nothing to name it', async () => {
    const wait = (params: Params) => server().call('sandbox_wait', { sandbox_id: box.id, ...params });
    expect((await refused('EXEC_NOT_FOUND', wait({ exec_id: 'ex_000000000000' }))).message).toContain('ex_000000000000');
    expect((await refused('INVALID_PARAMS', wait({}))).message).toMatch(/`exec_id` is missing/);
    expect((await refused('SANDBOX_NOT_FOUND', wait({ sandbox_id: '../x', exec_id: 'ex_000000000000' }))).message).toContain('../x');
  });

  it('a call without a sandbox', async () => {
    for (const tool of ['sandbox_exec', 'sandbox_read', 'sandbox_destroy'])
      expect((await refused('INVALID_PARAMS', server().call(tool, {}))).message).toMatch(/`sandbox_id` is missing/);
    await refused('SANDBOX_NOT_FOUND', server().call('sandbox_destroy', { sandbox_id: 'sb_000000000000000000000000' }));
    expect((await refused('INVALID_PARAMS', server().call('sandbox_list', { all: true }))).message).toMatch(/`all` is unknown/);
  });
});

describe(`sandbox_read refuses, as ${mode}`, () => {
  it.each<Case>([
    ['what is not there', 'PATH_NOT_FOUND', () => ({ path: 'nothing' }), /"nothing" was not found: there is no such file/],
    ['what is below a file', 'PATH_NOT_FOUND', () => ({ path: 'file/below' }), /not a directory/],
    ['an empty path', 'INVALID_PARAMS', () => ({ path: '' }), /`path`/],
    ['a path with a NUL byte', 'INVALID_PARAMS', () => ({ path: 'a\0b' }), /`path`.*NUL/],
    ['a name that is too long', 'PATH_NOT_FOUND', () => ({ path: 'x'.repeat(300) }), /longer than a name/],
    ['a path that is too long', 'PATH_NOT_FOUND', () => ({ path: 'x/'.repeat(4000) }), /longer than a path/],
    ['a program as text', 'NOT_TEXT', () => ({ path: '/usr/bin/env' }), /is not text/],
    ['a line that is no number', 'INVALID_PARAMS', () => ({ path: 'file', offset: 0 }), /`offset`/],
    ['an encoding that there is not', 'INVALID_PARAMS', () => ({ path: 'file', encoding: 'hex' }), /`encoding`.*"auto", "text", "base64"/],
    ['links that lead in a circle', 'PATH_REFUSED', () => ({ path: 'circle' }), /circle/],
    ['an unknown sandbox', 'SANDBOX_NOT_FOUND', () => ({ sandbox_id: '', path: 'file' }), /is not there/],
  ])('%s', async (_claim, code, params, named) => {
    const error = await refused(code, server().call('sandbox_read', { sandbox_id: box.id, ...params() }));
    expect(error.message).toMatch(named);
    expectNothingOfTheHost(error.message, home);
  });
});

it('null means left out, for every optional parameter', async () => {
  const nothing = (...names: string[]): Params => Object.fromEntries(names.map((name) => [name, null]));
  const limits = nothing('memory_mb', 'cpus', 'pids', 'disk_mb');
  const made = await createBox(server(), { ...nothing('policy', 'env', 'ttl_s', 'label', 'context'), limits });
  expect(made.created).toMatchObject({ policy: 'offline', context: { files: 2 }, limits: { memory_mb: 2048, cpus: 2, pids: 1024, disk_mb: 2048 } });
  const optional = ['env', 'cwd', 'stdin', 'keep_stdin', 'timeout_ms', 'wait_ms', 'tty', 'rows', 'cols', 'max_output_bytes'];
  const ran = await made.exec('cat file; cat', nothing('argv', ...optional));
  expect(ran).toMatchObject({ status: 'exited', exit_code: 0, stdout: 'content\n' });
  const waited = await made.wait(ran.exec_id, nothing('stdin', 'close_stdin', 'signal', 'rows', 'cols', 'wait_ms', 'max_output_bytes'));
  expect(waited).toMatchObject({ status: 'exited', stdout: '' });
  expect(await made.read('file', nothing('offset', 'limit', 'encoding', 'max_bytes'))).toMatchObject({ type: 'file', offset: 1, lines: 1 });
  await refused('INVALID_PARAMS', made.read('file', { path: null }));
  await made.destroy();
});
