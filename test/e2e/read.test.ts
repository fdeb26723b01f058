import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { shareBox } from './harness/box.ts';
import { makeDirectory } from './harness/home.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';

let context: string;
beforeAll(() => {
  context = makeDirectory('project', (directory) => {
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'sub/file.txt'), 'one\ntwo\nthree\n');
    writeFileSync(join(directory, '..foo'), 'a name like any other\n');
  });
});
const box = shareBox(
  () => ({}),
  () => ({ args: ['--context', context] }),
);

// The text that a model is shown of sandbox_read: the line of facts, and what follows.
const shown = async (path: string, params = {}): Promise<{ facts: string; content: string }> => {
  const { content, structuredContent } = await box().server.callRaw('sandbox_read', { sandbox_id: box().id, path, ...params });
  expect(structuredContent).toBeUndefined();
  const [facts = '', ...rest] = content
    .map(({ text }) => text ?? '')
    .join('\n')
    .split('\n');
  return { facts, content: rest.join('\n') };
};
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

describe(`sandbox_read, as ${mode}`, () => {
  it('gives a file with its facts, or a window of its lines', async () => {
    const facts = { type: 'file', encoding: 'text', size: 14, mode: '0644' };
    expect(await box().read('sub/file.txt')).toMatchObject({ ...facts, total_lines: 3, offset: 1, lines: 3, truncated: false });
    expect(await shown('sub/file.txt')).toEqual({ facts: 'file, 14 bytes, lines 1–3 of 3', content: 'one\ntwo\nthree\n' });
    expect(await box().read('sub/file.txt', { offset: 2, limit: 1 })).toMatchObject({ ...facts, offset: 2, lines: 1, truncated: true });
    expect((await shown('sub/file.txt', { offset: 2, limit: 1 })).content).toBe('two\n');
    expect((await shown('sub/file.txt', { max_bytes: 4 })).content).toBe('one\n');
    expect(await box().read('sub/file.txt', { offset: 9 })).toMatchObject({ lines: 0, truncated: false });
  });

  it('takes paths as the contract has them: absolute, relative, and those of the context on the host', async () => {
    for (const path of ['sub/file.txt', './sub/../sub/file.txt', '/workspace/sub/file.txt', join(context, 'sub/file.txt'), '//workspace//sub/file.txt'])
      expect((await shown(path)).content, path).toBe('one\ntwo\nthree\n');
    expect((await shown('..foo')).content).toBe('a name like any other\n');
    await refused('PATH_NOT_FOUND', box().read(`${context}-evil/sub/file.txt`));
    await refused('PATH_NOT_FOUND', box().read('../../../../sub/file.txt'));
  });

  it('sees at once what a program writes, wherever it writes', async () => {
    for (const directory of ['/workspace', '/tmp', '/home/agent', '/dev/shm', '/var/tmp']) {
      await box().run(`echo "in ${directory}" > ${directory}/written`);
      expect((await shown(`${directory}/written`)).content).toBe(`in ${directory}\n`);
    }
  });

  it('follows links as a program inside does', async () => {
    await box().run(
      'cd /tmp && ln -sf /workspace/sub/file.txt absolute && ln -sf ../workspace/sub relative && ln -sf /etc etc && ln -sf /proc/self/status status',
    );
    expect((await shown('/tmp/absolute')).content).toBe('one\ntwo\nthree\n');
    expect((await shown('/tmp/relative/file.txt')).content).toBe('one\ntwo\nthree\n');
    expect((await shown('/tmp/etc/passwd')).content).toContain('agent:x:1000:1000');
    expect((await shown('/tmp/status')).content).toContain('CapEff:\t0000000000000000');
  });

  it('lists a directory, by page', async () => {
    await box().run('mkdir -p /tmp/list && cd /tmp/list && touch b a && mkdir c && ln -sf a d && chmod 600 a && printf 12345 > e');
    const entries = [
      { name: 'a', type: 'file', size: 0, mode: '0600' },
      { name: 'b', type: 'file', size: 0, mode: '0644' },
      { name: 'c', type: 'directory', mode: '0755' },
      { name: 'd', type: 'symlink' },
      { name: 'e', type: 'file', size: 5 },
    ];
    expect(await box().read('/tmp/list')).toMatchObject({ type: 'directory', truncated: false, entries });
    expect(await box().read('/tmp/list', { offset: 2, limit: 2 })).toMatchObject({ truncated: true, entries: entries.slice(1, 3) });
    expect((await shown('/tmp/list')).facts).toBe('directory, 5 entries');
  });

  it('shows names that are no text quoted, and takes them back', async () => {
    await box().run(String.raw`mkdir -p /tmp/odd && cd /tmp/odd && echo odd > $'a\xc3\nb' && echo plain > 'ä "x"'`);
    const { entries } = await box().read('/tmp/odd');
    expect((entries as { name: string }[]).map(({ name }) => name)).toEqual([String.raw`"a\303\nb"`, 'ä "x"']);
    for (const [name, content] of [
      [String.raw`"/tmp/odd/a\303\nb"`, 'odd\n'],
      ['/tmp/odd/ä "x"', 'plain\n'],
    ] as const)
      expect((await shown(name)).content).toBe(content);
  });

  it('shows an image as one, told by its bytes, and binary only as base64', async () => {
    await box().run(`echo ${PNG} | base64 -d > /tmp/picture.txt; printf 'a\\0b' > /tmp/binary`);
    const { content, _meta } = await box().server.callRaw('sandbox_read', { sandbox_id: box().id, path: '/tmp/picture.txt' });
    expect(content).toMatchObject([{ type: 'text' }, { type: 'image', mimeType: 'image/png', data: PNG }]);
    expect(_meta).toMatchObject({ 'cellwall/result': { type: 'image', mime_type: 'image/png' } });
    await refused('NOT_TEXT', box().read('/tmp/binary'));
    await refused('NOT_TEXT', box().read('/tmp/picture.txt', { encoding: 'text' }));
    expect(await shown('/tmp/binary', { encoding: 'base64' })).toEqual({ facts: 'file, 3 bytes, base64', content: 'YQBi' });
  });

  it('tells other types and never opens them', async () => {
    const make =
      'import os, socket; os.mkfifo("/tmp/fifo"); os.mkfifo("/workspace/fifo"); [socket.socket(socket.AF_UNIX).bind(p) for p in ("/tmp/socket", "/workspace/socket")]';
    await box().run(['python3', '-c', make]);
    await box().run('ln -sf /tmp/fifo /workspace/to-fifo');
    for (const path of ['/tmp/fifo', 'fifo', 'to-fifo']) expect(await box().read(path), path).toEqual({ type: 'fifo' });
    for (const path of ['/tmp/socket', 'socket']) expect(await box().read(path), path).toEqual({ type: 'socket' });
    for (const path of ['/dev/null', '/dev/zero', '/dev/tty', '/dev/random']) expect(await box().read(path), path).toEqual({ type: 'device' });
  });

  it('reads what only the sandbox sees', async () => {
    expect((await shown('/proc/version')).content).toContain('gvisor');
    expect(await box().read('/proc/1')).toMatchObject({ type: 'directory' });
    expect((await box().read('/dev'))['entries']).toContainEqual(expect.objectContaining({ name: 'null', type: 'device' }));
    expect((await shown('/sys/fs')).content).toContain('cgroup');
    await refused('PATH_NOT_FOUND', box().read('/proc/99999/status'));
  });

  it('leaves nothing in the list of commands', async () => {
    await box().read('/proc/version');
    expect((await box().server.call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [] }]);
    const before = (await box().read('/run/cellwall'))['entries'];
    await box().read('/proc/version');
    expect((await box().read('/run/cellwall'))['entries']).toEqual(before);
  });
});
