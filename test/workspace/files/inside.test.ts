import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { itWith } from '../../requirements.ts';
import type { Inside } from '../../../src/workspace/files/inside.ts';
import { plantTree } from '../planted.ts';

/** This machine in the place of a sandbox: its /proc and /dev are like any other's. */
const onThisMachine: Inside = async ([program, ...argv]) => {
  const { status, stdout } = spawnSync(program!, argv, { env: { PATH: process.env['PATH'], LC_ALL: 'C' } });
  return { code: status, stdout };
};

/** A sandbox whose programs print what they like: one answer for each call. */
const printing = (...answers: (string | Buffer)[]): Inside & { asked: string[][] } => {
  const asked: string[][] = [];
  return Object.assign(async (argv: string[]) => ({ code: 0, stdout: Buffer.from(answers[asked.push(argv) - 1] ?? '') }), { asked });
};

const FILE = '81a4 0 0\n';
const DIRECTORY = '41ed 0 0\n';

describe('what only the sandbox sees', () => {
  const PROGRAMS = ['stat', 'find', 'head'];

  itWith(PROGRAMS, 'a file of the kernel is read to its end, by lines', async () => {
    const tree = plantTree({});
    const options = { inside: onThisMachine };
    const whole = await tree.read('/proc/filesystems', options);
    expect(whole).toMatchObject({ type: 'file', content: expect.stringContaining('tmpfs\n'), mode: '0444', truncated: false });
    if (whole.type !== 'file') throw new Error(whole.type);
    expect(whole).toMatchObject({ size: whole.content.length, lines: whole.total_lines });
    const second = { content: `${whole.content.split('\n')[1]}\n`, lines: 1, total_lines: whole.total_lines, truncated: true };
    expect(await tree.read({ path: '/proc/filesystems', offset: 2, limit: 1 }, options)).toMatchObject(second);
  });

  itWith(PROGRAMS, 'a directory is listed, a device is told and not opened, what is missing is not found', async () => {
    const tree = plantTree({});
    const options = { inside: onThisMachine };
    expect(await tree.read('/dev', options)).toMatchObject({
      type: 'directory',
      entries: expect.arrayContaining([{ name: 'null', type: 'device', size: 0, mode: '0666' }]),
    });
    expect(await tree.read('/dev/zero', options)).toEqual({ type: 'device' });
    expect(await tree.read({ path: '/proc/self/', offset: 2, limit: 3 }, options)).toMatchObject({ entries: { length: 3 }, truncated: true });
    expect(await tree.refusal('/proc/nothing', options)).toMatch(/^PATH_NOT_FOUND: "\/proc\/nothing" was not found/);
  });

  itWith(PROGRAMS, 'links of the tree lead there as they do inside', async () => {
    const tree = plantTree({});
    for (const [name, target] of [
      ['file', '/proc/version'],
      ['folder', '/proc'],
      ['chain', 'file'],
      ['null', '/dev/null'],
    ] as const)
      symlinkSync(target, join(tree.path, 'workspace', name));
    const inside: Inside = (argv) => onThisMachine(argv.map((word) => word.replace(/^\/workspace/, join(tree.path, 'workspace'))));
    for (const path of ['file', 'folder/version', 'chain', 'folder/../proc/version'])
      expect(await tree.read(path, { inside })).toMatchObject({ content: expect.stringContaining('Linux') });
    expect(await tree.read('null', { inside })).toEqual({ type: 'device' });
    expect(await tree.read('folder', { inside })).toMatchObject({ entries: expect.arrayContaining([expect.objectContaining({ name: 'version' })]) });
  });

  it('a path is one argument and never an option or a line for a shell', async () => {
    const inside = printing(FILE, 'x');
    await plantTree({}).read('/proc/-x $(id) ; `id` "', { inside });
    expect(inside.asked).toEqual([
      ['stat', '-L', '-c', '%f %s %Y', '--', '/proc/-x $(id) ; `id` "'],
      ['head', '-c', '400000', '--', '/proc/-x $(id) ; `id` "'],
    ]);
  });

  it('/dev/shm is in the tree, and nothing is run for it', async () => {
    expect(await plantTree({ '/dev/shm/f': 'here' }).read('/dev/shm/f')).toMatchObject({ content: 'here' });
  });

  it('a pipe that a program made exists in the kernel of the sandbox alone', async () => {
    const inside: Inside = async () => ({ code: 0, stdout: Buffer.from('11a4 0 0\n') });
    expect(await plantTree({}).read('/workspace/pipe', { inside })).toEqual({ type: 'fifo' });
  });

  it('an error of the run itself stays what it is', async () => {
    const inside: Inside = async () => {
      throw Object.assign(new Error('the connection is gone'), { code: 'ENOENT' });
    };
    await expect(plantTree({}).read('/proc/version', { inside })).rejects.toThrow('the connection is gone');
  });
});

describe('programs that lie', () => {
  it('a status that is none is not found', async () => {
    for (const answer of ['', 'x', '81a4', '81a4 -1 0\n', 'a1ff 0 0\n', `${'f'.repeat(50)} 0 0\n`, '81a4 0 0\n81a4 0 0\n'])
      expect(await plantTree({}).refusal('/proc/x', { inside: printing(answer) })).toMatch(/^PATH_NOT_FOUND/);
  });

  it('numbers beyond all bounds are brought to what an answer can hold', async () => {
    const inside = printing(`81a4 ${'9'.repeat(20)} ${'9'.repeat(20)}\n`, 'x\n');
    expect(await plantTree({}).read('/proc/x', { inside })).toMatchObject({
      size: Number.MAX_SAFE_INTEGER,
      mtime: '+275760-09-13T00:00:00.000Z',
      content: 'x\n',
    });
  });

  it('a file without end is given in part, and says so', async () => {
    const flood = Buffer.from('x\n'.repeat(1_000_000));
    const read = (input: object) => plantTree({}).refusal({ path: '/proc/x', ...input }, { inside: printing(FILE, flood) });
    expect(await read({ limit: 1 })).toContain('"lines":1,"truncated":true');
    expect(JSON.parse((await read({ limit: 1e9, max_bytes: 1e9 })).replace('read: ', ''))).toMatchObject({
      lines: 100_000,
      total_lines: null,
      truncated: true,
    });
    expect(await read({ offset: 150_000 })).toMatch(/^LIMIT_EXCEEDED/);
  });

  it('a listing is what has the form of one, without a name that is no name', async () => {
    const inside = printing(DIRECTORY, 'ok\0f 1 644\0a/b\0f 1 644\0 junk \0\0bad\0f x 644\0odd\0? 0 777\0');
    const { entries } = (await plantTree({}).read('/proc/x', { inside })) as { entries: object[] };
    expect(entries).toEqual(
      expect.arrayContaining([
        { name: 'ok', type: 'file', size: 1, mode: '0644' },
        { name: 'odd', type: 'device', size: 0, mode: '0777' },
      ]),
    );
    expect(JSON.stringify(entries)).not.toContain('/');
  });

  it('a listing that was cut says so', async () => {
    const inside = printing(DIRECTORY, `a\0f 1 644\0${'x'.repeat(500_000)}`);
    expect(await plantTree({}).read('/proc/x', { inside })).toMatchObject({ entries: [{ name: 'a' }], truncated: true });
  });
});
