import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, shareBox } from './harness/box.ts';
import { makeDirectory } from './harness/home.ts';
import { atMost, holdingsOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';

let context: string;
beforeAll(() => {
  context = makeDirectory('project', (directory) => {
    for (const name of ['src/deep', 'node_modules/m', '.git/info']) mkdirSync(join(directory, name), { recursive: true });
    const files = {
      '.gitignore': 'node_modules\n*.log\n',
      '.git/info/exclude': 'private\n',
      'src/app.js': 'module.exports = 1\nconst two = 2\nconst three = 3\n',
      'src/deep/é.ts': 'const TWO = 2\r\n',
      'run.sh': 'echo two\n',
      'debug.log': 'two\n',
      private: 'two\n',
      'node_modules/m/index.js': 'two\n',
      'logo.bin': 'two\0',
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  });
});
const box = shareBox(
  () => ({}),
  () => ({ args: ['--context', context] }),
);

type Params = Readonly<Record<string, unknown>>;
interface Found {
  readonly matches: readonly { readonly path: string; readonly line: number; readonly text: string }[];
  readonly files: readonly string[];
  readonly truncated: boolean;
}
const search = async (params: Params): Promise<Found> => (await box().server.call('sandbox_search', { sandbox_id: box().id, ...params })) as unknown as Found;
const shown = async (params: Params): Promise<string> => (await box().server.callRaw('sandbox_search', { sandbox_id: box().id, ...params })).content[0]!.text!;

describe(`sandbox_search, as ${mode}`, () => {
  it('finds lines, but for what .gitignore names and for binary files', async () => {
    expect(await search({ pattern: '\\btwo\\b', ignore_case: true })).toEqual({
      matches: [
        { path: 'run.sh', line: 1, text: 'echo two' },
        { path: 'src/app.js', line: 2, text: 'const two = 2' },
        { path: 'src/deep/é.ts', line: 1, text: 'const TWO = 2' },
      ],
      files: ['run.sh', 'src/app.js', 'src/deep/é.ts'],
      truncated: false,
    });
    expect((await search({ pattern: '^const t[a-z]+ = \\d$', path: '/workspace/src' })).matches.map(({ line }) => line)).toEqual([2, 3]);
  });

  it('finds files by name, and lines in those alone', async () => {
    expect(await search({ glob: '**/*.sh' })).toEqual({ matches: [], files: ['run.sh'], truncated: false });
    expect((await search({ glob: 'src/**/*.{js,ts}' })).files).toEqual(['src/app.js', 'src/deep/é.ts']);
    expect((await search({ glob: '*.sh', pattern: 'two' })).files).toEqual(['run.sh']);
    expect((await search({ glob: '*.sh', pattern: null, path: null, ignore_case: null, context_lines: null, limit: null, max_bytes: null })).files).toEqual([
      'run.sh',
    ]);
  });

  it('looks into what `path` names: a file, an ignored directory, the place of the context on the host', async () => {
    for (const [path, file] of [
      ['src/app.js', 'src/app.js'],
      ['node_modules', 'node_modules/m/index.js'],
      ['/workspace/debug.log', 'debug.log'],
      [join(context, 'run.sh'), 'run.sh'],
    ] as const)
      expect((await search({ pattern: 'two', path })).files, path).toEqual([file]);
    expect((await search({ pattern: 'private', path: '.git' })).files).toEqual(['.git/info/exclude']);
  });

  it('sees at once what programs write, wherever they write, and their output', async () => {
    const exec = await box().exec(
      'for d in /tmp /home/agent /dev/shm /workspace; do mkdir -p $d/new; echo found me >$d/new/file; done; seq 100000; echo the end',
    );
    for (const path of ['/tmp/new', '/home/agent', '/dev/shm'])
      expect((await search({ pattern: 'found', path })).files).toEqual([path === '/tmp/new' ? `${path}/file` : `${path}/new/file`]);
    expect((await search({ pattern: 'found' })).files).toEqual(['new/file']);
    expect((await search({ pattern: 'the end', path: exec.output_path })).matches).toEqual([
      { path: `${exec.output_path}/stdout`, line: 100_001, text: 'the end' },
    ]);
    await box().run('rm -r /workspace/new');
  });

  it('shows a model all of it as text, as grep does, and how to go on', async () => {
    expect(await shown({ pattern: 'const t', path: 'src' })).toBe('src/app.js:2: const two = 2\nsrc/app.js:3: const three = 3\n2 matches in 1 file');
    expect(await shown({ pattern: 'two', path: 'src/app.js', context_lines: 1 })).toBe(
      'src/app.js:2:\nmodule.exports = 1\nconst two = 2\nconst three = 3\n--\n1 match in 1 file',
    );
    expect(await shown({ glob: '*.js', path: 'src' })).toBe('src/app.js\n1 file');
    expect(await shown({ pattern: 'nowhere' })).toBe('nothing found');
    expect(await shown({ pattern: 'const', limit: 1 })).toMatch(/^src\/app.js:2: .*\n1 match in 1 file, truncated: .*`path`.*`limit`/);
  });

  it('shows names quoted, and takes them back', async () => {
    await box().run(String.raw`mkdir -p /tmp/odd && cd /tmp/odd && echo odd > $'a\xc3\nb' && printf '\033[31mred\033[0m\n' > colour`);
    expect((await search({ pattern: 'odd', path: '/tmp/odd' })).files).toEqual([String.raw`"/tmp/odd/a\303\nb"`]);
    expect((await search({ pattern: 'odd', path: String.raw`"/tmp/odd/a\303\nb"` })).matches).toHaveLength(1);
    expect((await search({ pattern: 'red', path: '/tmp/odd' })).matches).toMatchObject([{ text: 'red' }]);
  });

  it('says what is wrong with what it is asked', async () => {
    const ask = (params: Params) => search(params);
    expect((await refused('INVALID_PARAMS', ask({ path: 'src' }))).message).toContain('expected `pattern` or `glob` or both');
    expect((await refused('INVALID_PARAMS', ask({ pattern: '' }))).message).toContain('expected `pattern` to be a string of 1 to');
    expect(await refused('INVALID_PARAMS', ask({ pattern: 'a(?=b)' }))).toMatchObject({
      message: expect.stringMatching(/`pattern`.*`\(\?=`/) as string,
      hint: expect.stringContaining('RE2') as string,
    });
    expect((await refused('INVALID_PARAMS', ask({ glob: '{a,b' }))).message).toContain('`glob`');
    await refused('INVALID_PARAMS', ask({ pattern: 'a', context_lines: 21 }));
    await refused('PATH_NOT_FOUND', ask({ pattern: 'a', path: 'nowhere' }));
    await refused('PATH_NOT_FOUND', ask({ pattern: 'a', path: 'run.sh/below' }));
    for (const path of ['/proc', '/proc/self/status', '/sys', '/dev/null'])
      expect((await refused('PATH_REFUSED', ask({ pattern: 'a', path }))).hint).toContain('sandbox_exec');
    await refused('SANDBOX_NOT_FOUND', ask({ sandbox_id: 'sb_other', pattern: 'a' }));
  });
});

/** takes seconds for each quarter of a MiB */
const SLOW = { pattern: '[a-e].{1,400}[f-h].{1,400}[XY]', path: '/tmp/noise' };
const NOISE = [
  'python3',
  '-c',
  'import os, random\nos.mkdir("/tmp/noise")\nopen("/tmp/noise/file","w").write("".join(random.choices("abcdefghij k",k=4_000_000)))',
];

describe(`a search that takes long, as ${mode}`, () => {
  it('ends when it is cancelled, leaves nothing open, and others answer meanwhile', async () => {
    await box().run(NOISE);
    await search({ pattern: 'a', limit: 1 });
    const before = holdingsOf(box().server);
    const canceled = new AbortController();
    const running = box().server.call('sandbox_search', { sandbox_id: box().id, ...SLOW }, { signal: canceled.signal });
    const failed = expect(running).rejects.toThrow('abort');
    await sleep(300);
    for (let turn = 0; turn < 5; turn++) {
      expect((await search({ pattern: 'two', path: 'src' })).files).toEqual(['src/app.js']); // in another thread
    }
    canceled.abort();
    await failed;
    await expect.poll(() => holdingsOf(box().server), { timeout: 15_000 }).toEqual(atMost(before));
    expect((await search({ pattern: 'two', path: 'src' })).files).toEqual(['src/app.js']);
  });

  it('ends when its sandbox is destroyed, and those that wait for their turn too', async () => {
    const other = await createBox(box().server, { context: 'none' });
    await other.run(NOISE);
    const running = Array.from({ length: 4 }, () => refused('SANDBOX_NOT_FOUND', other.server.call('sandbox_search', { sandbox_id: other.id, ...SLOW })));
    await sleep(300);
    await other.destroy();
    await Promise.all(running);
  });
});
