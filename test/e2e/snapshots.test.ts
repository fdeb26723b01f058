/** Contexts through the front door: stored once, shared by sandboxes and servers, private to each sandbox, removed by `cellwall gc`. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createBox, type Box } from './harness/box.ts';
import { runCellwall } from './harness/command.ts';
import { makeDirectory, makeHome, type Home } from './harness/home.ts';
import { mountsOf } from './harness/looks.ts';
import { mode, user } from './harness/mode.ts';
import { startServer, type Server } from './harness/server.ts';
import { makePolicies, sections } from './harness/trusted.ts';

const MTIME = 1_234_567_890.5;

/** A project with directories, links, modes and times, settled long ago. */
const makeProject = (): string =>
  makeDirectory('project', (path) => {
    for (const folder of ['src/deep', 'lib']) mkdirSync(join(path, folder), { recursive: true });
    for (const name of ['src/a', 'src/deep/b', 'lib/c', 'lib/d', 'README']) writeFileSync(join(path, name), `${name}\n`, { mode: 0o640 });
    execFileSync('ln', ['-s', 'src/a', join(path, 'link')]);
    for (const name of ['src/a', 'src/deep/b', 'src/deep']) utimesSync(join(path, name), MTIME, MTIME);
  });

const LIST = `find . -mindepth 1 -printf '%P %y %m %T@ %l\\n' | sort; find . -type f | sort | xargs sha256sum`;
const treeOf = (directory: string): string => execFileSync('sh', ['-c', LIST], { cwd: directory, encoding: 'utf8' });
const treeIn = (box: Box): Promise<string> => box.run(LIST, { max_output_bytes: 100_000 });

const start = (context: string, home?: Home, args: readonly string[] = []): Promise<Server> =>
  startServer({ args: ['--context', context, ...args], ...(home && { home }) });
const storeOf = ({ cacheDir }: Home): string => join(cacheDir, 'snapshots');

/** Directories of the states that a home's store has. */
const statesIn = (home: Home): string[] =>
  readdirSync(storeOf(home))
    .filter((name) => name !== 'trial' && !name.startsWith('.'))
    .flatMap((key) => readdirSync(join(storeOf(home), key)).map((name) => join(storeOf(home), key, name)))
    .filter((path) => existsSync(join(path, 'state')))
    .toSorted((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);

const writeOwned = (path: string, content: string): void => {
  writeFileSync(path, content);
  chownSync(path, user.uid, user.gid);
};

describe(`a context, as ${mode}`, () => {
  it('that has not changed is taken from the store, the same to the nanosecond; what changes is seen', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const server = await start(context, home);
    const first = await createBox(server, {});
    expect(await treeIn(first)).toBe(treeOf(context));
    const [stored] = statesIn(home);
    const second = await createBox(server, {});
    expect(second.created['context']).toEqual(first.created['context']);
    expect(await treeIn(second)).toBe(treeOf(context));
    expect(statesIn(home)).toEqual([stored]);

    appendFileSync(join(context, 'src/a'), 'more\n');
    rmSync(join(context, 'lib'), { recursive: true });
    writeOwned(join(context, 'src/new'), 'new\n');
    renameSync(join(context, 'README'), join(context, 'READ.me'));
    const third = await createBox(server, {});
    expect(await treeIn(third)).toBe(treeOf(context));
    expect(third.created['context']).not.toEqual(first.created['context']);
    expect(statesIn(home)).toHaveLength(2);
    expect(await first.run('cat src/a README lib/c')).toBe('src/a\nREADME\nlib/c\n');
  });

  it('is private to each sandbox: whatever one does there, others and the host do not see', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const server = await start(context, home);
    const [one, other] = [await createBox(server, {}), await createBox(server, {})];
    const before = treeOf(context);
    const stored = treeOf(join(statesIn(home)[0]!, 'files'));
    await one.run(
      'echo x >> src/a; chmod 777 README; rm -rf lib; mkdir lib; mv src/deep moved; mv moved src/moved; ln -sf /etc/passwd link; rm src/a; echo y > src/a; touch .',
    );
    expect(await one.run('ls -A lib src src/moved; cat src/moved/b src/a')).toBe('lib:\n\nsrc:\na\nmoved\n\nsrc/moved:\nb\nsrc/deep/b\ny\n');
    await server.call('sandbox_write', { sandbox_id: one.id, path: 'lib/written', content: 'by the host\n' });
    expect(await one.run('echo and inside >> lib/written; cat lib/written')).toBe('by the host\nand inside\n');
    expect(await one.read('lib/written')).toMatchObject({ size: 23, total_lines: 2 });
    expect(await treeIn(other)).toBe(before);
    expect(treeOf(context)).toBe(before);
    expect(treeOf(join(statesIn(home)[0]!, 'files'))).toBe(stored);
  });

  it('is ENOSPC when as much is written as the policy gives, counts only what is written, and is read all the same', async () => {
    const context = makeProject();
    const policies = makePolicies({ small: { limits: { disk_mb: 8, why: 'little' } } });
    const box = await createBox(await start(context, makeHome(), ['--policies', policies, '--policy', 'small']), {});
    expect(await box.exec('head -c 20M /dev/zero > big')).toMatchObject({ exit_code: 1, stderr: expect.stringContaining('No space left on device') });
    expect(await box.exec('echo x >> src/a')).toMatchObject({ exit_code: 1 });
    await expect(box.server.call('sandbox_write', { sandbox_id: box.id, path: 'lib/c', content: 'x'.repeat(10_000) })).rejects.toThrow(/DISK_FULL/);
    expect(await box.run('cat src/deep/b; rm big; echo x >> src/a; tail -1 src/a')).toBe('src/deep/b\nx\n');
  });

  it('is shared by servers, and a sandbox that uses it keeps it when all else is removed', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const [first, second] = [await start(context, home), await start(context, home)];
    const [one, other] = await Promise.all([createBox(first, {}), createBox(second, {})]);
    expect(statesIn(home)).toHaveLength(1);
    expect(await treeIn(one)).toBe(await treeIn(other));
    await one.destroy();
    expect(await gc(home, '--all')).toBe('removed 0 snapshots (0.0 MiB), kept 1 snapshot\n');
    expect(await treeIn(other)).toBe(treeOf(context));
    appendFileSync(join(context, 'src/a'), 'more\n');
    await (await createBox(first, {})).destroy();
    expect(statesIn(home)).toHaveLength(2);
    await second.kill();
    expect(await gc(home)).toMatch(/^removed 0 snapshots .* kept 2 snapshots\n$/); // the older one is the newer one's ground
    expect(await gc(home, '--all')).toMatch(/^removed 2 snapshots .* kept 0 snapshots\n$/);
    expect(readdirSync(storeOf(home))).toEqual(['trial']);
    expect(await treeIn(await createBox(first, {}))).toBe(treeOf(context));
  });

  it('leaves nothing mounted and nothing held when its sandbox is destroyed', async () => {
    const server = await start(makeProject());
    const before = mountsOf(server.pid);
    const box = await createBox(server, {});
    if (process.getuid!() === 0) expect(mountsOf(server.pid).length).toBeGreaterThan(before.length);
    await box.run('echo x > src/a');
    await box.destroy();
    expect(mountsOf(server.pid).filter((point) => !point.endsWith('null-netns'))).toEqual(before.filter((point) => !point.endsWith('null-netns')));
    expect(await gc(server.home, '--all')).toMatch(/^removed 1 snapshot /);
  });

  it('that is large tells how much of it is copied, ever further on, to a client that gave a token, and nothing after the end', async () => {
    const context = makeDirectory('project', (path) => {
      for (let folder = 0; folder < 20; folder++) mkdirSync(join(path, `d${folder}`));
      for (let file = 0; file < 20_000; file++) writeFileSync(join(path, `d${file % 20}/${file}`), `${file}\n`);
    });
    const server = await startServer({ args: ['--allow-root', context] });
    const told: { progress: number; message?: string | undefined }[] = [];
    const created = await server.call('sandbox_create', { context }, { onprogress: (step) => void told.push(step) });
    const before = [...told];
    await server.call('sandbox_exec', { sandbox_id: created['sandbox_id'], command: 'sleep 1' });
    expect(created['context']).toMatchObject({ files: 20_000 });
    const copied = before
      .flatMap(({ message }) => /^copied ([\d ]+) files, [\d ]+ bytes$/.exec(message ?? '')?.[1] ?? [])
      .map((digits) => Number(digits.replaceAll(' ', '')));
    expect(copied.length).toBeGreaterThan(0);
    expect(
      copied.every((files, index) => files > 0 && files <= 20_000 && files >= (copied[index - 1] ?? 0)),
      String(copied),
    ).toBe(true);
    expect(before.every(({ progress }, index) => progress > (before[index - 1]?.progress ?? 0))).toBe(true);
    expect(told).toEqual(before);
  });

  it('whose copy was damaged is made anew where the policy asks for `context.verify`', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const policies = makePolicies({ careful: sections({ context: { verify: true } }) });
    const server = await start(context, home, ['--policies', policies]);
    await (await createBox(server, {})).destroy();
    const damaged = join(statesIn(home)[0]!, 'files/src/a');
    const { atime, mtime } = statSync(damaged);
    writeFileSync(damaged, 'SRC/A\n');
    utimesSync(damaged, atime, mtime);
    expect(await (await createBox(server, {})).run('cat src/a')).toBe('SRC/A\n');
    expect(await treeIn(await createBox(server, { policy: 'careful' }))).toBe(treeOf(context));
    expect(server.stderr()).toContain('a snapshot of a context was damaged and is made anew');
    expect(await (await createBox(server, {})).run('cat src/a')).toBe('src/a\n');
  });

  it('is the old copy or the new one, whenever the server that makes it is killed', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const first = await start(context, home);
    const old = await createBox(first, {});
    const before = await treeIn(old);
    for (let file = 0; file < 3000; file++) writeOwned(join(context, `src/deep/${file}`), `${file}\n`);
    for (const wait of [5, 40, 90, 160]) {
      const server = await start(context, home);
      void server.call('sandbox_create', {}).catch(() => {});
      while (!isTaking(home) && statesIn(home).length === 1) await setTimeout(1);
      await setTimeout(wait);
      await server.kill();
    }
    expect(await treeIn(old)).toBe(before);
    const next = await createBox(first, {});
    expect(next.created['context']).toMatchObject({ files: 3006 });
    const digest = `(${LIST}) | sha256sum`;
    expect(await next.run(digest)).toBe(execFileSync('sh', ['-c', digest], { cwd: context, encoding: 'utf8' }));
    await old.destroy();
    await next.destroy();
    await gc(home);
    expect(isTaking(home)).toBe(false);
  });

  const isTaking = (home: Home): boolean => readdirSync(storeOf(home), { recursive: true, encoding: 'utf8' }).some((name) => /\/\.new-[^/]*$/.test(name));
});

const gc = async (home: Home, ...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await runCellwall(['gc', ...args], { home });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return String(stdout);
};
