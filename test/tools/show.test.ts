/** What a model that sees only text is told. */
import { describe, expect, test } from 'vitest';
import type { Tool } from '../../src/tool.ts';
import create from '../../tools/create.ts';
import diff from '../../tools/diff.ts';
import exec from '../../tools/exec.ts';
import { grouped } from '../../tools/format.ts';
import { tools } from '../../tools/index.ts';
import list from '../../tools/list.ts';
import read from '../../tools/read.ts';
import search from '../../tools/search.ts';
import { createFakeSessions } from '../fixtures/fake-sessions.ts';

const context = { sessions: createFakeSessions(), principal: 'me', signal: new AbortController().signal, forModel: true };
const shown = (tool: Tool, result: object): string =>
  tool
    .show(result)
    .map((block) => (block.type === 'text' ? block.text : '<image>'))
    .join('|');
const run = async (tool: Tool, params: object): Promise<object> => tool.bind(params).run(context);

test('every tool is named after its file and describes itself for a model', () => {
  expect(tools.map((tool) => tool.name)).toEqual([
    'sandbox.create',
    'sandbox.exec',
    'sandbox.wait',
    'sandbox.read',
    'sandbox.write',
    'sandbox.search',
    'sandbox.diff',
    'sandbox.list',
    'sandbox.destroy',
  ]);
  for (const tool of tools) expect(tool.description).toMatch(/Use it |waits for its end|go on with /);
});

test('create tells the sandbox_id, what was granted, what was copied and every warning', async () => {
  expect(shown(create, await run(create, {}))).toBe(
    [
      'sandbox_id: sb_0123456789abcdefghij',
      'policy offline, runtime gvisor, network none, expires at 2026-01-01T04:00:00.000Z',
      'limits: memory 2 048 MB, 2 CPUs, 1 024 processes, disk 2 048 MB',
      '/workspace: 37 files, 123 456 bytes copied (digest abc), 3 left out:',
      '  .env (secret)',
      '  and 2 more',
      'warning: something to know',
    ].join('\n'),
  );
  expect(shown(create, { ...(await run(create, {})), context: null, warnings: [] })).toContain('/workspace: empty');
});

describe('exec tells', () => {
  const ended = {
    exec_id: 'ex_1',
    status: 'exited',
    exit_code: 0,
    signal: null,
    stdout: '',
    stderr: '',
    stdout_bytes: 0,
    stderr_bytes: 0,
    truncated: false,
    output_path: '/run/cellwall/ex_1',
    duration_ms: 1234,
  };

  test.each([
    [{}, 'exited with code 0 after 1 234 ms (ex_1)\nno output'],
    [{ status: 'signaled', exit_code: null, signal: 'SIGSEGV' }, 'killed by SIGSEGV after 1 234 ms (ex_1)\nno output'],
    [{ status: 'timed_out', exit_code: null, signal: 'SIGKILL' }, 'timed out and was killed after 1 234 ms (ex_1)\nno output'],
    [{ status: 'oom_killed', exit_code: null, signal: 'SIGKILL' }, 'killed: the sandbox ran out of memory after 1 234 ms (ex_1)\nno output'],
    [{ status: 'canceled', exit_code: null }, 'canceled after 1 234 ms (ex_1)\nno output'],
    [{ status: 'running', exit_code: null, stdout: 'so far' }, 'still running after 1 234 ms (ex_1)\nstdout:\nso far'],
    [{ stdout: '\n a\n\n', stderr: 'b' }, 'exited with code 0 after 1 234 ms (ex_1)\nstdout:\n\n a\n\nstderr:\nb'],
  ])('how a command ended and what it printed: %j', (fields, text) => {
    expect(shown(exec, { ...ended, ...fields })).toBe(text);
  });

  test('where all of the output is when it was cut', () => {
    expect(shown(exec, { ...ended, stdout: 'head\ntail\n', stdout_bytes: 1234567, truncated: true })).toMatch(
      /\noutput was cut: stdout has 1 234 567 bytes, stderr 0 bytes; all of it is in the files stdout and stderr in \/run\/cellwall\/ex_1$/,
    );
  });
});

describe('read tells', () => {
  const file = {
    type: 'file',
    content: 'x\n',
    encoding: 'text',
    size: 1234,
    total_lines: 612,
    offset: 1,
    lines: 400,
    truncated: false,
    mode: '0644',
    mtime: '2026-01-01T00:00:00Z',
  };

  test.each([
    [{}, 'file, 1 234 bytes, lines 1–400 of 612\nx\n'],
    [{ offset: 401, lines: 10, total_lines: null, truncated: true }, 'file, 1 234 bytes, lines 401–410, truncated: go on with offset 411\nx\n'],
    [{ size: 0, lines: 0, total_lines: 0, content: '' }, 'file, 0 bytes, no lines here, 0 in all\n'],
    [{ encoding: 'base64', total_lines: null, truncated: true, content: 'eA==' }, 'file, 1 234 bytes, base64, truncated\neA=='],
    [{ size: 1, content: '\n\n' }, 'file, 1 byte, lines 1–400 of 612\n\n\n'],
  ])('the facts of a file in one line before its content: %j', (fields, text) => {
    expect(shown(read, { ...file, ...fields })).toBe(text);
  });

  test('the type of what is never opened', async () => {
    expect(shown(read, await run(read, { sandbox_id: 'sb_0123456789abcdefghij', path: 'pipe' }))).toBe('fifo: it exists and is not opened');
  });
});

describe('search tells', () => {
  const match = { path: 'a.ts', line: 7, text: 'seven' };

  test.each([
    [{ matches: [match, { ...match, path: 'b.ts' }], files: ['a.ts', 'b.ts'] }, 'a.ts:7: seven\nb.ts:7: seven\n2 matches in 2 files'],
    [{ matches: [{ ...match, text: 'six\nseven' }], files: ['a.ts'] }, 'a.ts:7:\nsix\nseven\n--\n1 match in 1 file'],
    [{ files: ['a.ts'] }, 'a.ts\n1 file'],
    [{}, 'nothing found'],
    [{ truncated: true }, 'nothing found, truncated: narrow it down with `path` or `glob`, or raise `limit` and `max_bytes`'],
  ])('what was found and whether that is all: %j', (fields, text) => {
    expect(shown(search, { matches: [], files: [], truncated: false, ...fields })).toBe(text);
  });
});

describe('diff tells', () => {
  const result = { changes: [], total: 0, patch: null, truncated: false, digest: 'abc' };
  const one = (change: string, rest = {}) => ({ path: `${change}.txt`, change, size: 1234, binary: false, ...rest });
  const changes = [one('added'), one('modified', { binary: true }), one('deleted'), one('type_changed'), one('mode_changed')];

  test.each([
    [{}, 'no changes, digest abc'],
    [{ patch: '' }, 'no changes, digest abc'],
    [
      { changes },
      '5 changes, digest abc\nA added.txt\nM modified.txt (binary, 1 234 bytes)\nD deleted.txt\nT type_changed.txt (type)\nM mode_changed.txt (mode)',
    ],
    [{ changes: [one('added')], truncated: true }, '1 change or more, digest abc\nA added.txt\ntruncated: go on with `paths`, or with a larger `max_bytes`'],
    [{ changes: [one('added')], patch: 'diff --git …\n' }, '1 change, digest abc\nA added.txt\n\ndiff --git …\n'],
  ])('the list, how it goes on, and the patch as it is: %j', (fields, text) => {
    expect(shown(diff, { ...result, ...fields })).toBe(text);
  });
});

test('list tells state, use and quota', async () => {
  expect(shown(list, await run(list, {}))).toBe(
    '1 of 8 sandboxes\nsb_0123456789abcdefghij: running, policy offline, runtime gvisor; created at 2026-01-01T00:00:00.000Z, expires at 2026-01-01T04:00:00.000Z; ' +
      'no command runs; memory 20 MB, 2 processes, disk not measured, CPU 1 200 ms',
  );
});

test('digits are grouped in threes', () => {
  expect([0, 7, 999, 1000, 12345, 123456, 1234567].map(grouped)).toEqual(['0', '7', '999', '1 000', '12 345', '123 456', '1 234 567']);
});

test('a label is printable and short', () => {
  const label =
    (value: string): (() => unknown) =>
    () =>
      create.bind({ label: value });
  for (const good of ['', 'main job', 'é 漢字 🚀', 'x'.repeat(100)]) expect(label(good)).not.toThrow();
  for (const bad of ['a\nb', '\x1b[31m', 'a\u202eb', '\u2028', 'x'.repeat(101)]) expect(label(bad)).toThrow('at most 100 printable characters');
});
