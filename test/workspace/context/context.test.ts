import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSecretName } from '../../../src/workspace/context/secrets.ts';
import { give, itWith } from '../../requirements.ts';
import { copyTree, linkTo, makeTree, namesIn, newDirectory, readTree, reasonsOf, stamp, type Tree } from '../trees.ts';

const OLD = 1_234_567_890_123_456_789n;
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n';
const PRIVATE_KEY = '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n';
const isRoot = process.getuid?.() === 0;

describe('a copy', () => {
  it('is the tree: contents, names of any bytes, links, modes and times to the nanosecond', async () => {
    const source = makeTree({
      'a b': 'text',
      'not\xffutf8\n': Buffer.from([0, 255, 10]),
      empty: '',
      d: { deep: { run: '#!/bin/sh', 'no one': {} }, to: linkTo('deep/run'), 'dang\xe9ling': linkTo('no/such') },
      '..foo': { '-rf': '' },
    });
    chmodSync(`${source}/d/deep/run`, 0o755);
    chmodSync(`${source}/empty`, 0o400);
    chmodSync(`${source}/..foo`, 0o1777);
    stamp(`${source}/d/deep/run`, null, OLD);
    stamp(`${source}/d/to`, null, OLD + 1n);
    stamp(`${source}/empty`, null, -1n);
    stamp(`${source}/d/deep`, 0o550, OLD - 1n);
    const copy = await copyTree(source);
    chmodSync(`${source}/d/deep`, 0o750);
    chmodSync(`${copy.path}/d/deep`, 0o750);
    expect(readTree(copy.path)).toEqual(readTree(source));
    expect(copy).toMatchObject({ files: 7, bytes: 16, skipped: [], skippedCount: 0, warnings: [] });
  });

  it('is equal to its source, whatever the source is', async () => {
    const bytes = (maxLength: number) => fc.uint8Array({ maxLength, minLength: 1 }).map((array) => Buffer.from(array).toString('latin1'));
    const name = bytes(12).filter((some) => !/[/\0]/.test(some) && !/^\.{1,2}$/.test(some) && !some.includes('.git') && !isSecretName(some, false));
    const { tree } = fc.letrec<{ tree: Tree; node: Tree | string | ReturnType<typeof linkTo> }>((tie) => ({
      tree: fc.array(fc.tuple(name, tie('node')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
      node: fc.oneof({ maxDepth: 3 }, bytes(40), fc.constant('').map(String), fc.constant(linkTo('x/y')), tie('tree')),
    }));
    await fc.assert(
      fc.asyncProperty(
        tree,
        fc.array(fc.tuple(fc.constantFrom(0o644, 0o600, 0o755, 0o711, 0o664), fc.bigInt(-(10n ** 17n), 10n ** 18n))),
        async (some, stamps) => {
          const source = makeTree(some);
          for (const [index, path] of Object.keys(readTree(source)).toReversed().entries()) {
            const [mode, time] = stamps[index] ?? [0o755, OLD];
            const place = Buffer.from(`${source}/${path}`, 'latin1');
            if (!lstatSync(place).isSymbolicLink()) chmodSync(place, mode | 0o700);
            stamp(place.toString('latin1'), null, time);
          }
          const [first, second] = [await copyTree(source), await copyTree(source)];
          expect(readTree(first.path)).toEqual(readTree(source));
          expect(first.digest).toBe(second.digest);
          expect(first.skippedCount).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('has no setuid and setgid bits, and hard links in it are files of their own', async () => {
    const source = makeTree({ tool: 'x', d: {} });
    chmodSync(`${source}/tool`, 0o6755);
    chmodSync(`${source}/d`, 0o2775);
    linkSync(`${source}/tool`, `${source}/twin`);
    const copy = await copyTree(source);
    expect([statSync(`${copy.path}/tool`).mode, statSync(`${copy.path}/d`).mode]).toEqual([0o100755, 0o040775]);
    expect(statSync(`${copy.path}/tool`).nlink).toBe(1);
    expect(readFileSync(`${copy.path}/twin`, 'utf8')).toBe('x');
  });

  it('belongs to the owner that it is made for', async ({ skip }) => {
    if (!isRoot) give('only root gives files away', 'owner', skip);
    const copy = await copyTree(makeTree({ a: 'x', d: { l: linkTo('../a') } }), { owner: { uid: 4321, gid: 8765 } });
    for (const name of ['a', 'd', 'd/l']) expect(lstatSync(`${copy.path}/${name}`)).toMatchObject({ uid: 4321, gid: 8765 });
    expect(lstatSync(copy.path).uid).toBe(0);
  });

  it('has a digest that tells contents, names, kinds and modes apart and no times', async () => {
    const digest = async (tree: Tree, change?: (path: string) => void) => {
      const source = makeTree(tree);
      change?.(source);
      return (await copyTree(source)).digest;
    };
    const first = await digest({ a: 'x', d: { b: 'y' } });
    expect(await digest({ d: { b: 'y' }, a: 'x' }, (path) => stamp(`${path}/a`, null, OLD))).toBe(first);
    const others = [
      { a: 'x', d: { b: 'z' } },
      { a: 'x', d: { c: 'y' } },
      { a: 'x', d: { b: linkTo('y') } },
      { a: 'x', d: { b: 'y', e: {} } },
      { a: 'x', b: 'y' },
    ];
    expect(
      new Set([
        first,
        ...(await Promise.all(others.map((tree) => digest(tree)))),
        await digest({ a: 'x', d: { b: 'y' } }, (path) => chmodSync(`${path}/a`, 0o755)),
      ]).size,
    ).toBe(7);
  });

  it('of a file larger than any buffer is the file', async () => {
    const content = Buffer.alloc(1_300_007, 'not all the same ').fill(0, 700_000, 700_100);
    const copy = await copyTree(makeTree({ big: content, key: Buffer.concat([Buffer.from(PRIVATE_KEY), content]) }));
    expect(readFileSync(`${copy.path}/big`).equals(content)).toBe(true);
    expect(reasonsOf(copy)).toEqual({ key: 'secret' });
    expect(namesIn(copy.path)).toEqual(['big']);
  });

  it('leaves the event loop to others', async () => {
    const source = makeTree(Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`f${index}`, 'x'.repeat(4096)])));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await copyTree(source);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });
});

describe('left out and named is', () => {
  it('a secret, by its name or by what it holds, while a directory that only may hold one stays', async () => {
    const copy = await copyTree(
      makeTree({
        '.env': 'T=1',
        '.env.example': 'T=',
        src: { '.env.local': '' },
        '.ssh': { config: '' },
        '.aws': {},
        '.docker': { 'config.json': '{}' },
        id_rsa: PRIVATE_KEY,
        'id_rsa.pub': 'ssh-rsa A',
        'server.pem': PRIVATE_KEY,
        'ca.pem': CERTIFICATE,
        deploy: PRIVATE_KEY,
        '.npmrc': '//r.example.com/:_authToken=x',
        sub: { '.npmrc': 'save-exact=true' },
        'sa.json': '{"private_key": "x"}',
        'package.json': '{}',
      }),
    );
    expect(reasonsOf(copy)).toEqual(
      Object.fromEntries(
        ['.env', '.ssh', '.aws', 'src/.env.local', '.docker/config.json', 'id_rsa', 'server.pem', 'deploy', '.npmrc', 'sa.json'].map((path) => [
          path,
          'secret',
        ]),
      ),
    );
    expect(namesIn(copy.path)).toEqual(['.docker/', '.env.example', 'ca.pem', 'id_rsa.pub', 'package.json', 'src/', 'sub/', 'sub/.npmrc']);
  });

  it('what the policy excludes, but not what it includes', async () => {
    const copy = await copyTree(makeTree({ 'a.sql': '', dist: { x: '' }, '.env': 'T=1', '.aws': { config: 'c', credentials: 's' }, k: { 'x.key': '0' } }), {
      exclude: ['*.sql', 'dist/'],
      include: ['.env', '.aws/config', 'k/x.key'],
    });
    expect(reasonsOf(copy)).toEqual({ 'a.sql': 'excluded by the policy', dist: 'excluded by the policy', '.aws/credentials': 'secret' });
    expect(namesIn(copy.path)).toEqual(['.aws/', '.aws/config', '.env', 'k/', 'k/x.key']);
  });

  it('a link out of the context, while one to its own place on the host stays', async () => {
    const source = makeTree({ out: linkTo('/etc/passwd'), up: linkTo('../..'), sh: linkTo('/bin/sh'), d: { back: linkTo('../x'), far: linkTo('../../x') } });
    symlinkSync(`${source}/d`, `${source}/self`);
    const copy = await copyTree(source);
    expect(reasonsOf(copy)).toEqual({ out: 'link out of the context', up: 'link out of the context', 'd/far': 'link out of the context' });
    expect(namesIn(copy.path)).toEqual(['d/', 'd/back', 'self', 'sh']);
  });

  itWith(['mkfifo'], 'a FIFO and a socket, which are never opened', async () => {
    const source = makeTree({ a: 'x' });
    execFileSync('mkfifo', [`${source}/pipe`]);
    const server = createServer().listen(`${source}/sock`);
    await once(server, 'listening');
    const copy = await copyTree(source);
    expect(reasonsOf(copy)).toEqual({ pipe: 'fifo', sock: 'socket' });
    server.close();
  });

  it('what the server may not read', async () => {
    const source = makeTree({ file: 'x', dir: { a: '' }, ok: '' });
    const destination = newDirectory();
    if (isRoot) for (const path of [source, destination]) execFileSync('chown', ['-Rh', '65534', path]);
    for (const name of ['file', 'dir']) chmodSync(`${source}/${name}`, 0);
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    if (isRoot) process.seteuid!(65534);
    try {
      const copy = await copyTree(source, { destination });
      expect(reasonsOf(copy)).toEqual({ file: 'unreadable', dir: 'unreadable' });
      expect(namesIn(copy.path)).toEqual(['ok']);
      expect(open()).toBe(before);
    } finally {
      if (isRoot) process.seteuid!(0);
      chmodSync(`${source}/dir`, 0o700);
    }
  });

  it('a name that is no text in the quotes of git, and the nearest to the top first', async () => {
    const source = makeTree({ d: { d: Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`.env.${index}`, ''])) }, 'z\xff\n.key': 'k', '.env': '' });
    const copy = await copyTree(source);
    expect(copy.skippedCount).toBe(32);
    expect(copy.skipped).toHaveLength(20);
    expect(copy.skipped.slice(0, 2).map(({ path }) => path).toSorted()).toEqual(['"z\\377\\n.key"', '.env']); // prettier-ignore
  });

  it('a path that is too long for a program, however deep the tree is', async () => {
    const source = newDirectory();
    for (let path = source, depth = 0; depth < 50; depth++, path = `${path}/${'n'.repeat(99)}`) {
      if (path.length < 4000) mkdirSync(`${path}/${'n'.repeat(99)}`);
    }
    const place = `${source}/${`${'n'.repeat(99)}/`.repeat(38)}`;
    process.chdir(place);
    for (let depth = 0; depth < 300; depth++) {
      mkdirSync('m'.repeat(20));
      process.chdir('m'.repeat(20));
    }
    process.chdir('/');
    const copy = await copyTree(source);
    expect(copy.skipped.map(({ reason }) => reason)).toEqual(['path too long']);
    expect(copy.skipped[0]!.path.length).toBeGreaterThan(4000);
  });
});

describe('a context that is too large', () => {
  it('is refused for its files at once, and the directories that hold them are named', async () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`f${index}`, '']));
    const source = makeTree({ app: { web: { node_modules: { a: many } }, 'x.js': '' }, docs: { d: '' } });
    const refusal = copyTree(source, { maxFiles: 50 });
    await expect(refusal).rejects.toMatchObject({ code: 'CONTEXT_TOO_LARGE' });
    await expect(refusal).rejects.toThrow(
      /it holds more than the 50 files that are copied\. Most of what was seen lies in app\/web\/node_modules\/a \(5\d files\)/,
    );
  });

  it('is refused for its directories and for what is left out, too', async () => {
    const folders = makeTree(Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`d${index}`, {}])));
    await expect(copyTree(folders, { maxFiles: 50 })).rejects.toThrow('more than the 50 directories');
    const secrets = makeTree(Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`.env.${index}`, ''])));
    await expect(copyTree(secrets, { maxFiles: 50 })).rejects.toThrow('more than the 50 entries that are left out');
  });

  it('is refused for its bytes before any is read, in the order of where they lie', async () => {
    const source = makeTree({ a: { x: 'x'.repeat(3000), y: { z: 'z'.repeat(100) } }, b: { sparse: '' }, c: { d: { only: 'o'.repeat(2048) } }, top: 't' });
    truncateSync(`${source}/b/sparse`, 2 ** 40);
    const destination = newDirectory();
    const refusal = copyTree(source, { maxBytes: 2048, destination });
    await expect(refusal).rejects.toMatchObject({ code: 'CONTEXT_TOO_LARGE' });
    await expect(refusal).rejects.toThrow(
      'it holds 1 TiB, more than the 2 KiB that are copied. Most of what was seen lies in b (1 TiB), a (3 KiB), c/d (2 KiB)',
    );
    expect(namesIn(destination)).toEqual([]);
  });
});

it('a copy that nobody waits for any more ends as canceled', async () => {
  const source = makeTree(Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`f${index}`, ''])));
  const abort = new AbortController();
  const copy = copyTree(source, { signal: abort.signal });
  setImmediate(() => abort.abort());
  await expect(copy).rejects.toMatchObject({ code: 'CANCELED' });
  await expect(copyTree(source, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELED' });
});

it('the source is not touched', async () => {
  const source = makeTree({ a: 'x', d: { b: 'y' } });
  utimesSync(`${source}/a`, 1, 1);
  const before = [readTree(source), statSync(`${source}/a`, { bigint: true }).ctimeNs];
  await copyTree(source);
  expect([readTree(source), statSync(`${source}/a`, { bigint: true }).ctimeNs]).toEqual(before);
  writeFileSync(`${source}/a`, 'x');
});
