import { once } from 'node:events';
import { chmodSync, chownSync, readdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { give, itWith } from '../../requirements.ts';
import { plantTree, SECRET } from '../planted.ts';

describe('what a path leads to', () => {
  it('a file comes with its facts', async () => {
    const tree = plantTree({ '/workspace/f': 'one\ntwo' });
    chmodSync(join(tree.path, 'workspace/f'), 0o640);
    utimesSync(join(tree.path, 'workspace/f'), 1_000_000, 1_234_567.5);
    const facts = { type: 'file', content: 'one\ntwo', encoding: 'text', size: 7, total_lines: 2, offset: 1, lines: 2, truncated: false };
    expect(await tree.read('/workspace/f')).toEqual({ ...facts, mode: '0640', mtime: '1970-01-15T06:56:07.500Z' });
  });

  it('a relative path starts at /workspace, and `..foo` is a name like any other', async () => {
    const tree = plantTree({ '/workspace/..foo/f': 'here\n', '/etc/passwd': 'agent\n' });
    expect(await tree.read('..foo/f')).toMatchObject({ content: 'here\n' });
    expect(await tree.read('../etc/passwd')).toMatchObject({ content: 'agent\n' });
  });

  it("the context's own path on the host means its copy, a path that only begins like it does not", async () => {
    const tree = plantTree({ '/workspace/f': 'copy\n', '/work/proj-evil/f': 'evil\n' });
    const options = { contextPath: '/work/proj' };
    expect(await tree.read('/work/proj/f', options)).toMatchObject({ content: 'copy\n' });
    expect(await tree.read('/work//./proj/x/../f', options)).toMatchObject({ content: 'copy\n' });
    expect(await tree.read('/work/proj', options)).toMatchObject({ type: 'directory', entries: [{ name: 'f' }] });
    expect(await tree.read('/work/proj-evil/f', options)).toMatchObject({ content: 'evil\n' });
  });

  it('a name that is not UTF-8 is shown quoted and accepted back', async () => {
    const tree = plantTree({});
    writeFileSync(Buffer.concat([Buffer.from(`${tree.path}/workspace/a`), Buffer.of(0xc3, 0x0a, 0x62)]), 'odd\n');
    const shown = '"a\\303\\nb"';
    expect(await tree.read('.')).toMatchObject({ entries: [{ name: shown, type: 'file', size: 4 }] });
    expect(await tree.read(shown)).toMatchObject({ content: 'odd\n' });
  });

  it('links mean what they mean inside', async () => {
    const tree = plantTree({ '/workspace/real/f': 'inside\n', '/usr/bin/tool': 'tool\n' });
    symlinkSync('/usr/bin/tool', join(tree.path, 'workspace/absolute'));
    symlinkSync('../../../../../usr/bin', join(tree.path, 'workspace/climbing'));
    expect(await tree.read('absolute')).toMatchObject({ content: 'tool\n' });
    expect(await tree.read('climbing/tool')).toMatchObject({ content: 'tool\n' });
  });

  it('a link to a place of the host leads nowhere, as itself, as a parent and as a parent of what is missing', async () => {
    const tree = plantTree({});
    symlinkSync(join(tree.outside, 'secret'), join(tree.path, 'workspace/file'));
    symlinkSync(tree.outside, join(tree.path, 'workspace/folder'));
    symlinkSync(`../../outside`, join(tree.path, 'workspace/relative'));
    const seen: string[] = [];
    const inside = async (argv: string[]) => {
      seen.push(argv.at(-1)!);
      return { code: 1, stdout: Buffer.alloc(0) };
    };
    for (const path of ['file', 'folder', 'folder/secret', 'folder/a/b/c', 'relative/secret']) {
      expect(await tree.refusal(path, { inside })).toMatch(/^PATH_NOT_FOUND/);
    }
    expect(seen.every((path) => path.startsWith('/workspace/'))).toBe(true);
  });

  it('magic links are not followed, and the server’s own /proc is never reached', async () => {
    const tree = plantTree({});
    for (const target of ['/proc/self/root/etc/passwd', '/proc/self/fd/0', '/proc/self/cwd']) {
      symlinkSync(target, join(tree.path, 'workspace/link'));
      const asked: string[] = [];
      const inside = async (argv: string[]) => {
        asked.push(argv.join(' '));
        return { code: 1, stdout: Buffer.alloc(0) };
      };
      expect(await tree.refusal('link', { inside })).toMatch(/^PATH_NOT_FOUND/);
      expect(asked).toEqual(['stat -L -c %f %s %Y -- /workspace/link']);
      execFileSync('rm', [join(tree.path, 'workspace/link')]);
    }
  });

  it('each refusal names the path as it was given, and why', async () => {
    const tree = plantTree({ '/workspace/f': '' });
    symlinkSync('loop', join(tree.path, 'workspace/loop'));
    symlinkSync('nothing', join(tree.path, 'workspace/dangling'));
    const inside = async () => ({ code: 1, stdout: Buffer.alloc(0) });
    expect(await tree.refusal('no/such', { inside })).toBe('PATH_NOT_FOUND: "no/such" was not found: there is no such file or directory');
    expect(await tree.refusal('f/g')).toBe('PATH_NOT_FOUND: "f/g" was not found: a part of it is not a directory');
    expect(await tree.refusal('f/', { inside })).toMatch(/^PATH_NOT_FOUND: "f\/" was not found/);
    expect(await tree.refusal('dangling', { inside })).toMatch(/^PATH_NOT_FOUND/);
    expect(await tree.refusal('loop')).toBe('PATH_REFUSED: "loop" cannot be read: its links lead in a circle, or there are too many');
    expect(await tree.refusal('a\0b')).toBe('PATH_NOT_FOUND: "a\\u0000b" was not found: it holds a NUL byte, which no name does');
    expect(await tree.refusal('"a\\000b"')).toMatch(/^PATH_NOT_FOUND.*NUL/);
    expect(await tree.refusal('x'.repeat(256))).toMatch(/^PATH_NOT_FOUND: "x{200}…" was not found: a name in it is longer/);
    expect(await tree.refusal('x/'.repeat(4000))).toMatch(/^PATH_NOT_FOUND.*longer than a path can be/);
    expect(await tree.refusal('x'.repeat(1_000_000))).toMatch(/^PATH_NOT_FOUND.*longer than a path can be/);
  });

  it('a call that was canceled says so', async () => {
    const tree = plantTree({ '/workspace/f': 'x' });
    expect(await tree.refusal('f', { signal: AbortSignal.abort() })).toBe('CANCELED: reading "f" was canceled');
  });

  it('what the user agent may not read is refused, below a closed directory too', async ({ skip }) => {
    const title = 'what the user agent may not read';
    if (process.getuid!() !== 0) give('only root can own a file for somebody else', title, skip);
    const tree = plantTree({
      '/usr/open': 'o',
      '/usr/closed': 'c',
      '/usr/group': 'g',
      '/usr/private/open': 'p',
      '/usr/private/list/x': 'l',
      '/workspace/mine': 'm',
    });
    for (const name of ['workspace', 'workspace/mine']) chownSync(join(tree.path, name), 4242, 4243);
    chownSync(join(tree.path, 'usr/group'), 0, 4243);
    for (const [name, mode] of [
      ['usr/closed', 0o600],
      ['usr/group', 0o604],
      ['usr/private', 0o700],
      ['workspace/mine', 0],
    ] as const)
      chmodSync(join(tree.path, name), mode);
    expect(await tree.read('/usr/open')).toMatchObject({ content: 'o' });
    expect(await tree.read('mine')).toMatchObject({ content: 'm' });
    for (const path of ['/usr/closed', '/usr/group', '/usr/private', '/usr/private/open', '/usr/private/list']) {
      expect(await tree.refusal(path)).toBe(`PATH_REFUSED: "${path}" cannot be read: the user \`agent\` may not read it`);
    }
  });
});

describe('what is never opened', () => {
  itWith(['mkfifo'], 'a FIFO is told, behind a link too, and does not hang', async () => {
    const tree = plantTree({});
    execFileSync('mkfifo', [join(tree.path, 'workspace/pipe')]);
    symlinkSync('pipe', join(tree.path, 'workspace/link'));
    expect(await tree.read('pipe')).toEqual({ type: 'fifo' });
    expect(await tree.read('link')).toEqual({ type: 'fifo' });
    expect(await tree.read('.')).toMatchObject({
      entries: [
        { name: 'link', type: 'symlink' },
        { name: 'pipe', type: 'fifo' },
      ],
    });
  });

  it('a socket is told', async () => {
    const tree = plantTree({});
    const server = createServer().listen(join(tree.path, 'workspace/s'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    expect(await tree.read('s')).toEqual({ type: 'socket' });
  });

  itWith(['mknod'], 'a device is told', async () => {
    if (process.getuid!() !== 0) return console.log('skipped: a device is told: only root can make one');
    const tree = plantTree({});
    execFileSync('mknod', [join(tree.path, 'workspace/d'), 'c', '1', '5']);
    expect(await tree.read('d')).toEqual({ type: 'device' });
  });
});

describe('what is without bound', () => {
  it('a sparse file of 1 TiB is refused as text and cut as base64', async () => {
    const tree = plantTree({ '/workspace/f': '' });
    truncateSync(join(tree.path, 'workspace/f'), 2 ** 40);
    expect(await tree.refusal('f')).toMatch(/^NOT_TEXT/);
    expect(await tree.read({ path: 'f', encoding: 'base64', max_bytes: 3 })).toMatchObject({ content: 'AAAA', size: 2 ** 40, lines: 0, truncated: true });
  });

  it('a time that no calendar has does not break the answer', async () => {
    const tree = plantTree({ '/workspace/f': 'x' });
    utimesSync(join(tree.path, 'workspace/f'), 1, 9e12);
    expect(await tree.read('f')).toMatchObject({ mtime: expect.stringMatching(/^\+?\d+-\d\d-\d\dT/) });
  });

  it('a tree that is hundreds of directories deep is read', async () => {
    const tree = plantTree({ [`/workspace/${'d/'.repeat(500)}`]: '' });
    expect(await tree.read('d/'.repeat(499))).toMatchObject({ type: 'directory', entries: [{ name: 'd', type: 'directory' }] });
  });
});

describe('a tree that changes while it is read', () => {
  // Exchanges a directory, a link to the outside and a link that climbs out, and moves a directory that a walk goes through, as fast as it can.
  const SWAPPER = `
    const { parentPort, workerData: { workspace, outside } } = require('node:worker_threads');
    const { renameSync, symlinkSync, mkdirSync, linkSync } = require('node:fs');
    symlinkSync(outside, workspace + '/absolute'); symlinkSync('../../outside', workspace + '/climbing');
    for (let round = 0; ; round++) {
      const other = workspace + (round % 2 ? '/absolute' : '/climbing');
      renameSync(workspace + '/d', workspace + '/kept'); renameSync(other, workspace + '/d');
      renameSync(workspace + '/d', other); renameSync(workspace + '/kept', workspace + '/d');
      renameSync(workspace + '/a/b', workspace + '/b'); renameSync(workspace + '/b', workspace + '/a/b');
      if (round === 10) parentPort.postMessage('running');
    }`;

  it('nothing from outside is ever read while a program swaps directories and links', async () => {
    const tree = plantTree({ '/workspace/d/secret': 'inside\n', '/workspace/a/b/c/': '', '/outside/secret': 'inside\n' });
    const worker = new Worker(SWAPPER, { eval: true, workerData: { workspace: join(tree.path, 'workspace'), outside: tree.outside } });
    onTestFinished(async () => void (await worker.terminate()));
    await once(worker, 'message');
    const answers = new Map<string, number>();
    for (let round = 0; round < 500; round++) {
      for (const path of ['d/secret', 'd', 'a/b/c/../../../../../outside/secret', '/../../outside/secret']) {
        const answer = await tree.refusal(path, { inside: async () => ({ code: 1, stdout: Buffer.alloc(0) }) });
        expect(answer).not.toContain(SECRET);
        const kind = answer.startsWith('read') ? (/"content":"[^"]*"|"entries":\[.*\]/.exec(answer)?.[0] ?? answer) : answer.split(':', 1)[0]!;
        answers.set(kind, (answers.get(kind) ?? 0) + 1);
      }
    }
    const expected = /^(?:PATH_NOT_FOUND|PATH_REFUSED|"content":"inside\\n"|"entries":\[(?:\{"name":"secret","type":"file","size":7,"mode":"0\d{3}"\})?\])$/;
    expect([...answers.keys()].filter((kind) => !expected.test(kind))).toEqual([]);
    expect(answers.get('"content":"inside\\n"')).toBeGreaterThan(0);
    expect(answers.get('PATH_NOT_FOUND')).toBeGreaterThan(0);
  });

  it('no descriptor is left behind', async () => {
    const tree = plantTree({ '/workspace/f': 'x', '/workspace/bin': '\0', '/workspace/d/': '' });
    const before = readdirSync('/proc/self/fd').length;
    for (const path of ['f', 'bin', 'd', 'nothing', 'f/x', '/proc']) await tree.refusal(path, { inside: async () => ({ code: 1, stdout: Buffer.alloc(0) }) });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });
});
