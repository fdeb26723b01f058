/** Contexts that make trouble, through the front door: they vanish, are closed in places, hold mounts, the store or odd names, or are asked for by two at once. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { call } from '../../src/syscall/call.ts';
import { MNT_DETACH } from '../../src/syscall/constants.ts';
import { mountTmpfs } from '../../src/syscall/mounts.ts';
import { cachedRunsc } from '../../src/runtime/gvisor/runsc.ts';
import { give } from '../requirements.ts';
import { createBox, destroyAll, type Box } from './harness/box.ts';
import { CallError } from './harness/client.ts';
import { makeDirectory, makeHome, own, type Home } from './harness/home.ts';
import { mode, user } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { startServer, type Server } from './harness/server.ts';

const FILES = 3000;
const content = (file: number): string => `${file}\n`.repeat(1 + (file % 400));
const makeLarge = (): string =>
  makeDirectory('large', (directory) => {
    for (let folder = 0; folder < 20; folder++) mkdirSync(join(directory, `d${folder}`));
    for (let file = 0; file < FILES; file++) writeFileSync(join(directory, `d${file % 20}/${file}`), content(file));
  });

/** Of every file that is inside: that it is whole. Prints how many there are. */
const COUNT_WHOLE = `
import os
count = 0
for folder, _, files in os.walk("."):
    for name in files:
        text = open(os.path.join(folder, name)).read()
        assert text == f"{name}\\n" * (1 + int(name) % 400), os.path.join(folder, name)
        count += 1
print(count)
`;
const countWhole = async (box: Box): Promise<number> => Number(await box.run(['python3', '-c', COUNT_WHOLE], { timeout_ms: 0, wait_ms: 45_000 }));

/** Waits until a snapshot has begun in a store that had none. */
const begun = async ({ cacheDir }: Home): Promise<void> => {
  const store = join(cacheDir, 'snapshots');
  const isTaking = (): boolean =>
    existsSync(store) && readdirSync(store, { recursive: true, encoding: 'utf8' }).some((name) => /\/\.new-[^/]*\/files\/./.test(name));
  while (!isTaking()) await setTimeout(1);
};

const reasonsOf = ({ created }: Box): Record<string, string> =>
  Object.fromEntries((created['context'] as { skipped: { path: string; reason: string }[] }).skipped.map(({ path, reason }) => [path, reason]));
const give2user = (path: string): void => void execFileSync('chown', ['-Rh', `${user.uid}:${user.gid}`, path]);
const start = (context: string, home = makeHome()): Promise<Server> => startServer({ home, args: ['--context', context] });

describe(`a context, as ${mode}`, () => {
  it('that is moved away while it is copied is copied; one that is removed gives what is left, or a reason; then it is not found', async () => {
    const [moved, removed, home] = [makeLarge(), makeLarge(), makeHome()];
    const [first, second] = [await start(moved, home), await start(removed, makeHome())];
    const creating = createBox(first, {});
    await begun(home);
    renameSync(moved, `${moved}-elsewhere`);
    expect(await countWhole(await creating)).toBe(FILES);
    const { message } = await refused('CONTEXT_NOT_FOUND', first.call('sandbox_create', {}));
    expectNothingOfTheHost(message, home, moved);

    const outcome = createBox(second, {}).catch((error: unknown) => error);
    await begun(second.home);
    execFileSync('rm', ['-rf', removed]);
    const box = await outcome;
    if (box instanceof CallError) expect(box.code).toMatch(/^CONTEXT_(REFUSED|NOT_FOUND)$/);
    else expect(await countWhole(box as Box)).toBeLessThanOrEqual(FILES);
    await refused('CONTEXT_NOT_FOUND', second.call('sandbox_create', {}));
    expect(await (await createBox(second, { context: 'none' })).run('echo on')).toBe('on\n');
  });

  it('of which the server may not read all is copied without that, and each place is named', async () => {
    const context = makeDirectory('project', (directory) => {
      for (const folder of ['closed', 'listed', 'open']) mkdirSync(join(directory, folder));
      for (const name of ['closed/file', 'listed/file', 'open/file', 'file', 'open/shut']) writeFileSync(join(directory, name), `${name}\n`);
    });
    const isKept = mode === 'root' || process.getuid!() !== 0; // root reads all, and only root can make what its user may not read
    if (!isKept) execFileSync('chown', ['0:0', ...['closed', 'listed', 'open/shut'].map((name) => join(context, name))]);
    for (const [name, bits] of [
      ['closed', '700'],
      ['listed', '744'],
      ['open/shut', '600'],
    ] as const)
      execFileSync('chmod', [bits, join(context, name)]);
    const box = await createBox(await start(context), {});
    expect(reasonsOf(box)).toEqual(isKept ? {} : { closed: 'unreadable', 'listed/file': 'unreadable', 'open/shut': 'unreadable' });
    expect(await box.run('find . -type f | sort')).toBe(isKept ? './closed/file\n./file\n./listed/file\n./open/file\n./open/shut\n' : './file\n./open/file\n');
  });

  it('on another file system is copied, and one that is mounted within it is not entered', async ({ skip }) => {
    if (process.getuid!() !== 0) give('only root mounts', 'a context on another file system', skip);
    const context = makeDirectory('mounted');
    const mount = (at: string): void => {
      mountTmpfs(at, { sizeMb: 1, inodes: 100, mode: 0o755 });
      onTestFinished(() => void call('umount2', at, MNT_DETACH));
    };
    mount(context);
    for (const folder of ['within', 'within/mount']) mkdirSync(join(context, folder));
    writeFileSync(join(context, 'within/mount/hidden'), 'x');
    mount(join(context, 'within/mount'));
    for (const name of ['file', 'within/file', 'within/mount/other']) writeFileSync(join(context, name), 'x');
    give2user(context);
    const box = await createBox(await start(context), {});
    expect(reasonsOf(box)).toEqual({ 'within/mount': 'mount point' });
    expect(await box.run('find . | sort')).toBe('.\n./file\n./within\n./within/file\n');
  });

  it('that holds the store of snapshots is copied without it, whatever is in there already', async () => {
    const context = makeDirectory('project', (directory) => writeFileSync(join(directory, 'file'), 'x'));
    const cacheDir = own(join(context, 'cache'));
    const home = makeHome();
    const server = await startServer({ home, args: ['--context', context, '--cache-dir', cacheDir], env: { CELLWALL_RUNSC: cachedRunsc(home.cacheDir) } });
    for (let turn = 0; turn < 2; turn++) {
      const box = await createBox(server, {});
      expect(reasonsOf(box)).toMatchObject({ 'cache/snapshots': 'snapshots of contexts' });
      expect(await box.run('find . -name file; ls -A cache | grep -v json || true')).toBe('./file\n');
      writeFileSync(join(context, 'file'), 'y'.repeat(turn + 2));
    }
    await refused('CONTEXT_REFUSED', server.call('sandbox_create', { context: join(cacheDir, 'snapshots') }));
  });

  it('with names that are no text has them byte for byte inside, and quoted outside', async () => {
    const names = ['b\xffyte', 'new\nline', 'esc\x1b[31m', '"quoted"', 'back\\slash', 'd\xfe/in\n', 'caf\xc3\xa9'];
    const context = makeDirectory('project');
    mkdirSync(Buffer.from(`${context}/d\xfe`, 'latin1'));
    for (const name of names) writeFileSync(Buffer.from(`${context}/${name}`, 'latin1'), `in ${name.length}\n`);
    execFileSync('mkfifo', [Buffer.from(`${context}/pipe\n`, 'latin1').toString()]);
    give2user(context);
    const server = await start(context);
    const box = await createBox(server, {});
    expect(reasonsOf(box)).toEqual({ '"pipe\\n"': 'fifo' });
    const list = 'import os, json; print(json.dumps(sorted(os.path.join(d, f)[2:].decode("latin-1") for d, _, fs in os.walk(b".") for f in fs)))';
    expect(JSON.parse(await box.run(['python3', '-c', list]))).toEqual(names.toSorted());

    const shown = ['"b\\377yte"', '"new\\nline"', '"esc\\033[31m"', '"\\"quoted\\""', 'back\\slash', '"d\\376/in\\n"', 'café'];
    const found = (await server.call('sandbox_search', { sandbox_id: box.id, pattern: '^in' }))['files'] as string[];
    expect(found.toSorted()).toEqual(shown.toSorted());
    for (const name of shown) {
      const path = name.startsWith('"') ? name : `/workspace/${name}`;
      expect(JSON.stringify(await server.callRaw('sandbox_read', { sandbox_id: box.id, path })), name).toMatch(/in \d+\\n"/);
      await server.call('sandbox_write', { sandbox_id: box.id, path, content: 'by the host\n' });
    }
    const { changes } = await server.call('sandbox_diff', { sandbox_id: box.id });
    expect((changes as { path: string; change: string }[]).map(({ path, change }) => `${change} ${path}`).toSorted()).toEqual(
      shown.map((name) => `modified ${name}`).toSorted(),
    );
    expect(JSON.stringify(await server.callRaw('sandbox_diff', { sandbox_id: box.id, format: 'patch' }))).not.toMatch(/\\u001b|\\ufffd/);
  });

  it('that two servers copy at once is there for the one, whenever the other is killed', async () => {
    for (const wait of [0, 50]) {
      const [context, home] = [makeLarge(), makeHome()];
      const [killed, other] = [await start(context, home), await start(context, home)];
      killed.call('sandbox_create', {}).catch(() => {});
      const creating = createBox(other, {});
      await begun(home);
      await setTimeout(wait);
      await killed.kill();
      const box = await creating;
      expect(box.created['context']).toMatchObject({ files: FILES });
      expect(await countWhole(box)).toBe(FILES);
      await destroyAll(other);
    }
  });
});
