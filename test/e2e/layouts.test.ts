/** The layouts of a workspace through the front door: what a policy asks for is there, or the create says why not. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { call } from '../../src/syscall/call.ts';
import { MNT_DETACH } from '../../src/syscall/constants.ts';
import { mountTmpfs } from '../../src/syscall/mounts.ts';
import { give } from '../requirements.ts';
import { createBox, type Box } from './harness/box.ts';
import { makeDirectory, makeHome } from './harness/home.ts';
import { mode, user } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { startServer } from './harness/server.ts';
import { makePolicies, sections } from './harness/trusted.ts';

const makeProject = (): string =>
  makeDirectory('project', (path) => {
    for (const folder of ['src/deep', 'lib']) mkdirSync(join(path, folder), { recursive: true });
    for (const name of ['src/a', 'src/deep/b', 'lib/c', 'README']) writeFileSync(join(path, name), `${name}\n`, { mode: 0o640 });
    execFileSync('ln', ['-s', 'src/a', join(path, 'link')]);
  });

const LIST = `find . -mindepth 1 -printf '%P %y %m %T@ %l\\n' | sort; find . -type f | sort | xargs sha256sum`;
const treeOf = (directory: string): string => execFileSync('sh', ['-c', LIST], { cwd: directory, encoding: 'utf8' });
const treeIn = (box: Box): Promise<string> => box.run(LIST, { max_output_bytes: 100_000 });
const warningsOf = ({ created }: Box): string[] => (created['warnings'] as string[]).filter((text) => /overlay|layout/.test(text));

const POLICIES = {
  plain: sections({ workspace: { layout: 'plain' } }),
  sealed: sections({ workspace: { layout: 'plain', mode: 'read-only' } }),
  small: sections({ workspace: { layout: 'plain' }, limits: { disk_mb: 1 } }),
  overlay: sections({ workspace: { layout: 'overlay' } }),
};

describe(`the layout of a workspace, as ${mode}`, () => {
  it('is an overlay where the policy asks for one, or for none', async () => {
    const server = await startServer({ args: ['--context', makeProject(), '--policies', makePolicies(POLICIES)] });
    for (const policy of ['offline', 'overlay']) {
      const box = await createBox(server, { policy });
      expect(warningsOf(box)).toEqual(mode === 'root' ? [] : [expect.stringContaining('not renamed in place')]);
      expect((await server.call('sandbox_list'))['sandboxes']).toMatchObject([{ usage: { disk_mb: 0 } }]);
      expect(await box.run('stat -f -c %T .; cat /run/cellwall/policy.json | grep layout')).toMatch(/"layout": "(auto|overlay)"/);
      await box.destroy();
    }
    expect(warningsOf(await createBox(server, { policy: 'overlay', context: 'none' }))).toEqual([]);
  });

  it('is a plain copy where the policy asks for one: the same tree, private, with its diff, and counted as what it is', async () => {
    const context = makeProject();
    const server = await startServer({ args: ['--context', context, '--policies', makePolicies(POLICIES)] });
    const box = await createBox(server, { policy: 'plain' });
    expect([await treeIn(box), warningsOf(box)]).toEqual([treeOf(context), []]);
    const before = treeOf(context);
    await box.run("echo x >> src/a; rm -r lib; chmod 755 README; ln -sf nothing link; python3 -c \"import os; os.rename('src/deep', 'moved')\"");
    await server.call('sandbox_write', { sandbox_id: box.id, path: 'moved/new', content: 'by the host\n' });
    const { changes, patch } = await server.call('sandbox_diff', { sandbox_id: box.id, format: 'patch' });
    expect(Object.fromEntries((changes as { path: string; change: string }[]).map(({ path, change }) => [path, change]))).toEqual({
      README: 'mode_changed',
      'lib/c': 'deleted',
      link: 'modified',
      'moved/b': 'added',
      'moved/new': 'added',
      'src/a': 'modified',
      'src/deep/b': 'deleted',
    });
    expect(patch).toContain('\n src/a\n+x\n');
    expect(treeOf(context)).toBe(before);
    const twin = await createBox(server, { policy: 'plain' });
    expect(await treeIn(twin)).toBe(before);
    expect((await (await createBox(server, { policy: 'sealed' })).exec('cat src/a; touch src/a')).stderr).toContain('Read-only file system');
    writeFileSync(join(context, 'big'), Buffer.alloc(2 * 1024 * 1024), { mode: 0o644 });
    chownSync(join(context, 'big'), user.uid, user.gid);
    expect((await refused('DISK_FULL', server.call('sandbox_create', { policy: 'small' }))).message).toContain('does not fit');
  });

  it('is a plain copy with a warning where an overlay does not work, and none at all where the policy demands one', async ({ skip }) => {
    if (process.getuid!() !== 0) give('only root mounts', 'a store on an overlay of an overlay', skip);
    const [context, home] = [makeProject(), makeHome()];
    mountDeep(join(home.cacheDir, 'snapshots'));
    const server = await startServer({ home, args: ['--context', context, '--policies', makePolicies(POLICIES)] });
    const box = await createBox(server, {});
    expect(await treeIn(box)).toBe(treeOf(context));
    expect(server.stderr()).toContain('an overlay does not work here');
    expect(warningsOf(box)).toEqual([expect.stringMatching(/^an overlay does not work here \(.*\): \/workspace is a copy/)]);
    expectNothingOfTheHost(warningsOf(box).join(), home);
    const { message } = await refused('RUNTIME_UNAVAILABLE', server.call('sandbox_create', { policy: 'overlay' }));
    expectNothingOfTheHost(message, home);
    expect((await server.call('sandbox_list'))['sandboxes']).toHaveLength(1);
    expect(await box.run('echo x >> src/a; rm -rf lib; mv src/deep moved; cat src/a moved/b; stat -c %U:%G README')).toBe(
      'src/a\nx\nsrc/deep/b\nagent:agent\n',
    );
    rmSync(join(context, 'lib'), { recursive: true }); // such a store takes no whiteouts
    expect(await treeIn(await createBox(server, {}))).toBe(treeOf(context));
  });
});

/** Mounts an overlay of an overlay: the kernel takes no third one above. */
const mountDeep = (place: string): void => {
  const parts = makeDirectory('deep');
  mountTmpfs(parts, { sizeMb: 64, inodes: 10_000, mode: 0o755 });
  onTestFinished(() => void call('umount2', parts, MNT_DETACH));
  for (const name of ['lower', 'upper1', 'work1', 'middle', 'upper2', 'work2']) mkdirSync(join(parts, name));
  const mount = (lower: string, number: number, at: string): void => {
    const data = `lowerdir=${join(parts, lower)},upperdir=${join(parts, `upper${number}`)},workdir=${join(parts, `work${number}`)}`;
    call('mount', 'overlay', at, 'overlay', 0, data);
    onTestFinished(() => void call('umount2', at, MNT_DETACH));
  };
  mount('lower', 1, join(parts, 'middle'));
  mkdirSync(place, { recursive: true });
  mount('middle', 2, place);
  chownSync(place, user.uid, user.gid);
  execFileSync('chmod', ['700', place]);
};
