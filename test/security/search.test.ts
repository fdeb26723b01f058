import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { shareBox } from '../e2e/harness/box.ts';
import { makeDirectory } from '../e2e/harness/home.ts';
import { mode } from '../e2e/harness/mode.ts';
import { expectNothingOfTheHost, refused } from '../e2e/harness/refusals.ts';
import { makeOutside, MARKER } from './outside.ts';

/** a directory of the host, outside of every context, with a marker in files and names */
let host: string;
let context: string;

beforeAll(() => {
  host = makeOutside();
  context = makeDirectory('work', (directory) => writeFileSync(join(directory, 'file'), 'mine\n'));
});
const box = shareBox(
  () => ({}),
  () => ({ args: ['--context', context] }),
);

type Params = Readonly<Record<string, unknown>>;
const search = (params: Params): Promise<Params> => box().server.call('sandbox_search', { sandbox_id: box().id, ...params });

// Neither what a search answers nor how it fails holds anything of the host: `inside` and the names that start with it are the sandbox's own.
const expectNoMarker = async (path?: string): Promise<string> => {
  const texts: string[] = [];
  for (const params of [{ pattern: 'secret|inside' }, { glob: '*marker*' }, { glob: '**' }]) {
    const text = JSON.stringify(await box().server.callRaw('sandbox_search', { sandbox_id: box().id, ...params, ...(path === undefined ? {} : { path }) }));
    expect(text, path).not.toContain(MARKER);
    expectNothingOfTheHost(path === undefined ? text : text.replaceAll(path, ''), box().server.home);
    texts.push(text);
  }
  return texts.join('\n');
};

describe(`sandbox_search stays in the sandbox, as ${mode}`, () => {
  it('P1, P3, P4, P6 by dots, links and magic links, in `path` and in the tree', async () => {
    const pid = box().server.pid;
    await box().run(
      `mkdir -p links && cd links && ln -sfn ${host}/marker file; ln -sfn ${host} parent; ln -sfn /proc/self/root root; ln -sfn /proc/${pid}/root server; ln -sfn /proc/self/fd fds; ln -sfn ../../../../../../../.. up; ln -sfn / top; ln -sfn . itself`,
    );
    for (const path of [
      'links/file',
      'links/parent',
      'links/parent/a',
      'links/root',
      'links/server',
      `links/root${host}`,
      'links/fds',
      `links/up${host}`,
      `../../..${host}`,
      host,
      `${host}/marker`,
    ])
      expect(await expectNoMarker(path), path).toMatch(/PATH_\w+/);
    expect(await search({ glob: '**', path: 'links' })).toMatchObject({ files: [] });
    expect(await search({ pattern: 'mine' })).toMatchObject({ files: ['file'] });
  });

  it('P5 while names are a directory and a link out by turns, all the time, wherever the search begins', async () => {
    await box().run(
      `mkdir -p race/there race/deep/x/b && echo inside > race/there/marker && echo inside > race/deep/x/b/marker && ln -sfn ${host} race/away && ln -sfn ${host}/a race/deep/z`,
    );
    const swappers = await Promise.all([box().swap('race/there', 'race/away'), box().swap('race/deep/x', 'race/deep/z')]);
    const seen = new Set<string>();
    for (let turn = 0; turn < 60; turn++) {
      const text = await expectNoMarker(['race', 'race/there', 'race/deep/x', 'race/deep'][turn % 4]);
      for (const word of text.match(/inside|PATH_\w+/g) ?? ['nothing']) seen.add(word);
    }
    expect([...seen].toSorted(), 'both were met').toEqual(expect.arrayContaining(['PATH_NOT_FOUND', 'inside']));
    for (const exec_id of swappers) await box().wait(exec_id, { signal: 'KILL' });
    await box().run('rm -rf race');
  });

  it('as what .gitignore and .git are', async () => {
    await box().run(`mkdir -p rules && cd rules && ln -sfn ${host}/marker .gitignore && ln -sfn ${host} .git && echo inside > marker && mkfifo pipe`);
    expect(await expectNoMarker('rules')).toContain('inside');
    await box().run('cd rules && rm .gitignore .git && mkfifo .gitignore && mkdir -p .git/info && mkfifo .git/info/exclude');
    expect(await expectNoMarker('rules')).toContain('inside');
    await box().run('rm -rf rules');
  });
});

describe(`P8 sandbox_search ends, whatever it meets, as ${mode}`, () => {
  it('pipes, sockets, devices and a terabyte of nothing', async () => {
    await box().run(
      'mkfifo pipe; ln -sfn /dev/zero zero; truncate -s 1T sparse; echo inside > after; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'socket\')"',
    );
    expect(await search({ pattern: 'inside|^$' })).toMatchObject({ files: ['after'], truncated: false });
    for (const path of ['/dev/zero', '/dev/tty']) await refused('PATH_REFUSED', search({ pattern: 'x', path }));
    for (const path of ['pipe', 'zero', 'socket']) await refused('PATH_NOT_FOUND', search({ pattern: 'x', path })); // they are only in the sandbox's own kernel
    const exec_id = await box().begin('yes > /tmp/growing & while ! [ -s /tmp/growing ]; do :; done; echo growing; wait', /growing/);
    expect(await search({ pattern: '^y$', path: '/tmp', limit: 3 })).toMatchObject({ truncated: true });
    expect(await search({ pattern: '^n$', path: '/tmp/growing' })).toMatchObject({ matches: [] });
    await box().wait(exec_id, { signal: 'KILL' });
    await box().run('rm -f /tmp/growing pipe zero sparse after socket');
  });

  it('a directory of very many entries, and a tree that is deeper than a path is long', async () => {
    await box().run(['python3', '-c', MANY], { timeout_ms: 0, wait_ms: 45_000 });
    expect(((await search({ glob: '*9999', path: 'many' }))['files'] as string[]).length).toBe(12);
    expect(await search({ pattern: 'bottom', max_bytes: 100_000 })).toMatchObject({ matches: [{ line: 1, text: 'the bottom' }], truncated: false });
    await box().run('rm -rf many deep');
  });

  it('rules, names and contents that would hold a backtracking engine up for years', async () => {
    await box().run([
      'python3',
      '-c',
      'import os\nos.mkdir("evil")\nopen("evil/.gitignore","w").write(("*a"*100+"[bc]\\n")*20+"[[[[\\n"*1000)\nfor n in range(1,250): open("evil/"+"a"*n,"w").write("a"*100000+"!")',
    ]);
    expect(await search({ pattern: '(a+)+$', path: 'evil' })).toMatchObject({ truncated: false });
    expect(await search({ glob: `${'*a'.repeat(200)}*b`, path: 'evil' })).toMatchObject({ files: [] });
    await box().run('rm -rf evil');
  });
});

const MANY = `import os
os.mkdir("many")
for n in range(120000): os.mknod(f"many/{n:06}")
os.mkdir("deep"); os.chdir("deep")
for n in range(4000): os.mkdir("d"); os.chdir("d")
open("file", "w").write("the bottom")`;
