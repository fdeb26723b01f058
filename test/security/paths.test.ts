import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { shareBox } from '../e2e/harness/box.ts';
import { CallError } from '../e2e/harness/client.ts';
import { makeDirectory } from '../e2e/harness/home.ts';
import { mode } from '../e2e/harness/mode.ts';
import { expectNothingOfTheHost, refused } from '../e2e/harness/refusals.ts';
import { makeOutside, MARKER } from './outside.ts';

/** a directory of the host, outside of every context, with a marker in it */
let host: string;
let context: string;

beforeAll(() => {
  host = makeOutside();
  context = makeDirectory('work', (directory) => {
    mkdirSync(join(directory, '..foo'));
    writeFileSync(join(directory, '..foo/file'), 'mine\n');
    linkSync(join(host, 'marker'), join(directory, 'hard'));
  });
});
const box = shareBox(
  () => ({}),
  () => ({ args: ['--context', context] }),
);

// All that a read of a path shows a model.
const shown = async (path: string, params = {}): Promise<string> =>
  JSON.stringify(await box().server.callRaw('sandbox_read', { sandbox_id: box().id, path, ...params }));

const expectNoMarker = async (path: string): Promise<void> => {
  for (const params of [{}, { encoding: 'base64' }]) {
    const text = await shown(path, params);
    expect(text, path).not.toContain(MARKER);
    expect(text, path).not.toContain(Buffer.from(MARKER).toString('base64').slice(0, 20));
    expectNothingOfTheHost(text.replaceAll(path, ''), box().server.home);
  }
};

describe(`sandbox_read stays in the sandbox, as ${mode}`, () => {
  it('P1 by dots, slashes, odd bytes and lengths', async () => {
    const up = '../'.repeat(20);
    const slash = '/'.repeat(50);
    for (const path of [
      `${up}${host}/marker`,
      `/workspace/${up}${host}/marker`,
      `${slash}${host}//marker`,
      `..foo/../../..${host}/marker`,
      `./../..${host}/./marker`,
      `..\\..\\${host}\\marker`,
      `%2e%2e/${host}/marker`,
      `file://${host}/marker`,
      `~/../../..${host}/marker`,
      `${host}/marker/`,
      `"${host}/marker"`,
    ])
      await expectNoMarker(path);
    for (const path of [`${host}/marker\0`, 'x'.repeat(5000), `/${'x'.repeat(256)}`, '\u{d800}', '"\\377\\376"', '\n', '"\\', ''])
      expect(['PATH_NOT_FOUND', 'INVALID_PARAMS']).toContain(
        await box()
          .read(path)
          .then(
            () => 'read',
            (error: unknown) => (error instanceof CallError ? error.code : String(error)),
          ),
      );
  });

  it('P2 by a name that begins like the context’s, while a name that begins with dots is one', async () => {
    writeFileSync(`${context}-evil`, MARKER);
    for (const path of [`${context}-evil`, `${context}/../${context.split('/').at(-1)}-evil`, `${context}..foo`]) await expectNoMarker(path);
    expect(await shown('..foo/file')).toContain('mine');
    expect(await shown(`${context}/..foo/file`)).toContain('mine');
  });

  it('P3 by a link to a file outside', async () => {
    await box().run(`ln -sfn ${host}/marker link; ln -sfn ../..${host}/marker /tmp/relative; ln -sfn link chain; ln -sfn ${context}-evil evil`);
    for (const path of ['link', '/tmp/relative', 'chain', 'evil', `${context}/link`]) await expectNoMarker(path);
  });

  it('P4 by a linked parent, with what is there and what is missing below it', async () => {
    await box().run(`ln -sfn ${host} parent; ln -sfn / root; ln -sfn ../../../../../../../.. up; mkdir -p in && ln -sfn ${host}/a in/parent`);
    for (const path of [
      'parent/marker',
      'parent/a/b/marker',
      'parent/x/y',
      'in/parent/b/marker',
      'in/parent/x/y/z',
      `root${host}/marker`,
      `up${host}/a/marker`,
      'parent/../marker',
      `parent/../${host.split('/').at(-1)}/marker`,
    ])
      await expectNoMarker(path);
    expect(await shown('root/etc/passwd')).toContain('agent:x:1000'); // the sandbox's own
  });

  it('P5 by a name that is a directory and a link out by turns, all the time', async () => {
    await box().run(`mkdir -p race/there && echo inside > race/there/marker && ln -sfn ${host} race/away`);
    const exec_id = await box().swap('race/there', 'race/away');
    const seen = new Set<string>();
    for (let turn = 0; turn < 80; turn++) {
      const text = await shown(turn % 2 === 0 ? 'race/there/marker' : 'race/away/marker');
      expect(text).not.toContain(MARKER);
      seen.add(/inside|PATH_\w+/.exec(text)?.[0] ?? text);
    }
    expect([...seen].toSorted(), 'both were met').toEqual(expect.arrayContaining(['PATH_NOT_FOUND', 'inside']));
    await box().wait(exec_id, { signal: 'KILL' });
  });

  it('P6 by links to the magic links of a process', async () => {
    const pid = box().server.pid;
    await box().run(
      `ln -sfn /proc/self/root self-root; ln -sfn /proc/self/cwd self-cwd; ln -sfn /proc/${pid}/root server-root; ln -sfn /proc/self/fd fds; ln -sfn /proc/1/root init-root; ln -sfn /dev/fd/0 fd0`,
    );
    for (const path of [
      `self-root${host}/marker`,
      `/proc/self/root${host}/marker`,
      `server-root${host}/marker`,
      `/proc/${pid}/root${host}/marker`,
      `init-root${host}/marker`,
      'fds/0',
      'fd0',
      '/proc/self/fd/3',
      `/proc/self/root/../..${host}/marker`,
      `/dev/fd/../root${host}/marker`,
    ])
      await expectNoMarker(path);
    for (const path of [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`, `/proc/${pid}/status`]) await refused('PATH_NOT_FOUND', box().read(path));
  });

  it('P7 a hard link in the context is a copy', async () => {
    expect(await shown('hard')).toContain(MARKER); // it is a file of the context
    await box().run('echo changed > hard; chmod 600 hard');
    expect(readdirSync(host)).toContain('marker');
    expect(readFileSync(join(host, 'marker'), 'utf8')).toBe(MARKER);
  });
});

describe(`P8 sandbox_read ends, whatever it reads, as ${mode}`, () => {
  it('pipes, sockets, devices and endless files are told or bounded', async () => {
    await box().run('mkfifo pipe /dev/shm/pipe; ln -sfn /dev/zero zero; ln -sfn pipe to-pipe');
    for (const path of ['pipe', '/dev/shm/pipe', 'to-pipe']) expect(await box().read(path)).toEqual({ type: 'fifo' });
    for (const path of ['zero', '/dev/zero', '/dev/urandom', '/dev/tty', '/dev/full']) expect(await box().read(path)).toEqual({ type: 'device' });
    const exec_id = await box().begin('yes > /tmp/growing & until [ -s /tmp/growing ]; do :; done; echo growing; wait', /growing/);
    expect(await box().read('/tmp/growing', { limit: 10 })).toMatchObject({ type: 'file', lines: 10, truncated: true });
    await box().wait(exec_id, { signal: 'KILL' });
    await box().run('rm -f /tmp/growing');
  });

  it('a sparse file of a terabyte and a line of a gigabyte', async () => {
    await box().run('truncate -s 1T sparse; truncate -s 1G /tmp/line; printf "first\\n" > lines; truncate -s 100M lines');
    await refused('NOT_TEXT', box().read('sparse'));
    expect(await box().read('sparse', { encoding: 'base64', max_bytes: 30 })).toMatchObject({ size: 2 ** 40, truncated: true });
    expect(await box().read('lines', { limit: 1, encoding: 'base64', max_bytes: 6 })).toMatchObject({ size: 100 * 1024 * 1024 });
    await box().run('tr "\\0" x < /dev/zero | head -c 100M > /tmp/line');
    expect(await box().read('/tmp/line')).toMatchObject({ lines: 1, truncated: true });
    await box().run('rm sparse lines /tmp/line');
  });

  it('a directory of many entries, and a tree that is deeper than a path is long', async () => {
    await box().run([
      'python3',
      '-c',
      'import os\nos.mkdir("many")\nfor n in range(30000): os.mknod(f"many/{n:05}")\nos.mkdir("deep"); os.chdir("deep")\nfor n in range(3000): os.mkdir("d"); os.chdir("d")',
    ]);
    expect(await box().read('many', { limit: 5 })).toMatchObject({
      truncated: true,
      entries: ['00000', '00001', '00002', '00003', '00004'].map((name) => ({ name })),
    });
    expect(((await box().read('many', { offset: 29_999 }))['entries'] as unknown[]).length).toBe(2);
    expect(((await box().read('many', { limit: 1_000_000 }))['entries'] as unknown[]).length).toBeLessThanOrEqual(2000);
    expect(await box().read(`deep${'/d'.repeat(1500)}`)).toMatchObject({ type: 'directory', entries: [{ name: 'd' }] });
    await refused('PATH_NOT_FOUND', box().read(`deep${'/d'.repeat(2900)}`));
    expect(await box().run('echo still')).toBe('still\n');
  });
});

it(`the run’s own directory is none of a sandbox, as ${mode}`, async () => {
  await expectNoMarker(inject('runDirectory'));
});
