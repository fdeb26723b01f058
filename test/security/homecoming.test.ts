/** What a hostile workspace, or a busy host, must not make of an apply. Names and links alone: workspace/apply.test.ts. Consent: server/consent.test.ts. Flags: workspace/flags.test.ts. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createBox, type Box } from '../e2e/harness/box.ts';
import { CallError } from '../e2e/harness/client.ts';
import { makeDirectory, makeHome, type Home } from '../e2e/harness/home.ts';
import { identity, mode, user } from '../e2e/harness/mode.ts';
import { refused } from '../e2e/harness/refusals.ts';
import { startServer, type Server } from '../e2e/harness/server.ts';
import { give, itWith } from '../requirements.ts';
import { leftovers } from '../workspace/applies.ts';
import { gitTree } from '../workspace/gits.ts';
import { operationLists, PROJECT } from '../workspace/operations.ts';
import { makeTree } from '../workspace/trees.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const project = (write: (directory: string) => void = (directory) => void makeTree(PROJECT, directory)): string => makeDirectory('project', write);
const serve = (context: string, home: Home = makeHome()): Promise<Server> =>
  startServer({ args: ['--context', context, '--allow-apply'], home, answer: () => 'accept' });

const apply = async ({ server, id }: Box): Promise<Record<string, unknown>> => {
  const { digest } = await server.call('sandbox_diff', { sandbox_id: id, max_bytes: 1 });
  return server.call('sandbox_apply', { sandbox_id: id, digest });
};
const outcome = (box: Box): Promise<string> => apply(box).then(() => 'applied', (error: unknown) => (error instanceof CallError ? error.code : String(error))); // prettier-ignore

/** Exchanges two names now and then: at a moment that nobody can foresee, and for long enough that much happens meanwhile. */
const SWAP = `
import ctypes, random, sys, time
libc = ctypes.CDLL(None)
first, second = (argument.encode() for argument in sys.argv[1:3])
begun = time.monotonic()
while True:
    libc.renameat2(-100, first, -100, second, 2)
    time.sleep(random.random() * 0.004)
    libc.renameat2(-100, first, -100, second, 2)
    time.sleep(random.random() * (0.12 + 0.1 * (time.monotonic() - begun)))  # longer and longer: on a slow machine an apply must come through too
`;

describe(`P10 an apply, as ${mode},`, () => {
  it('makes of the project what is inside, whatever was done there, or leaves it as it was', async () => {
    const server = await startServer({ args: ['--allow-root', dirname(project()), '--allow-apply'], answer: () => 'accept' });
    for (const operations of fc.sample(operationLists, { numRuns: 8, seed: Date.now() })) {
      const context = project();
      const box = await createBox(server, { context });
      await box.run(['python3', '-c', readFileSync(join(FIXTURES, 'change-tree.py'), 'utf8')], { stdin: JSON.stringify(operations) });
      const before = gitTree(context);
      const expected = (await outcome(box)) === 'applied' ? await box.gitTree() : before;
      expect(gitTree(context), JSON.stringify(operations)).toEqual(expected);
      expect(leftovers(context)).toEqual([]);
      await box.destroy();
    }
  });

  itWith(['python3'], 'never writes outside while a directory of the host is exchanged with a link to another', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `f${index}`);
    const files = Object.fromEntries(names.map((name) => [name, 'original']));
    const context = project((directory) => makeTree({ s: files }, directory));
    const outside = makeDirectory('outside', (directory) => makeTree({ f0: 'original' }, directory));
    const box = await createBox(await serve(context), {});
    symlinkSync(outside, join(context, 't'));
    const swap = spawn('python3', ['-c', SWAP, join(context, 's'), join(context, 't')], { ...identity, stdio: 'ignore' });
    onTestFinished(() => void swap.kill('SIGKILL'));
    // What is new outside is not told from what is new here by what is there already.
    await box.run('cd s; for f in *; do echo changed > $f; done; for i in $(seq 30); do echo new > g$i; mkdir d$i; echo new > d$i/h; done');
    const seen = new Set<string>();
    for (let round = 0; round < 400 && !seen.has('applied'); round++) {
      const said = await apply(box).then(() => 'applied', (error: unknown) => (error instanceof CallError ? error.message : String(error))); // prettier-ignore
      seen.add(/^APPLY_\w+: .*changed while the changes were written/.test(said) ? 'in the middle' : said.split(':', 1)[0]!);
      expect(gitTree(outside)).toEqual({ f0: 'file original' });
      expect(readdirSync(outside)).toEqual(['f0']);
    }
    expect([...seen].filter((one) => !['applied', 'in the middle', 'APPLY_CONFLICT', 'APPLY_REFUSED'].includes(one))).toEqual([]);
    expect([...seen], 'it never came to writing').toEqual(expect.arrayContaining([expect.stringMatching(/applied|in the middle/)]));
  });

  it('is whole or nothing while programs of the host change the files', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
    const context = project((directory) => names.forEach((name) => writeFileSync(join(directory, name), 'original')));
    const box = await createBox(await serve(context), {});
    await box.run('for f in f*; do echo changed > $f; done');
    const busy = spawn('sh', ['-c', 'while :; do printf mine > f39; printf original > f39; done'], { ...identity, cwd: context, stdio: 'ignore' });
    onTestFinished(() => void busy.kill('SIGKILL'));
    for (let round = 0; round < 10; round++) {
      const result = await outcome(box);
      const changed = names.slice(0, 39).filter((name) => readFileSync(join(context, name), 'utf8') !== 'original');
      expect([result, changed.length]).toEqual(result === 'applied' ? ['applied', 39] : ['APPLY_CONFLICT', 0]);
      if (result === 'applied') break;
    }
  });

  it('takes back what it wrote when the disk is full in the middle', async ({ skip }) => {
    const title = 'a full disk';
    if (process.getuid!() !== 0) give('only root can mount a small file system', title, skip);
    const context = project();
    const owner = `size=1m,mode=755,uid=${user.uid},gid=${user.gid}`;
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', owner, 'small', context]).status !== 0) give('mount is refused here', title, skip);
    onTestFinished(() => void spawnSync('umount', ['-l', context]));
    makeTree(PROJECT, context);
    spawnSync('chown', ['-hR', `${user.uid}:${user.gid}`, context]);
    const box = await createBox(await serve(context), {});
    await box.run('echo more >> a; rm -r e; ln -s a aa; head -c 3000000 /dev/urandom > big; echo more >> d/a');
    const before = gitTree(context);
    const { message } = await refused('HOST_FULL', apply(box));
    expect(message).toMatch(/no space left for big; everything was put back/);
    expect(gitTree(context)).toEqual(before);
    expect(leftovers(context)).toEqual([]);
    await box.run('rm big');
    expect(await outcome(box)).toBe('applied');
  });

  it('takes back what it wrote when a directory is read-only, and writes into no mount', ({ skip }) => (mode === 'root' ? mounted(skip) : readOnly()));
});

const readOnly = async (): Promise<void> => {
  const context = project();
  const box = await createBox(await serve(context), {});
  await box.run('echo more >> a; echo more >> d/e/a; echo more >> e/a');
  const before = gitTree(context);
  spawnSync('chmod', ['555', join(context, 'd/e')]);
  expect((await refused('APPLY_REFUSED', apply(box))).message).toMatch(/nothing was written: read-only are d\/e/);
  if (process.getuid!() === 0) {
    spawnSync('chmod', ['755', join(context, 'd/e')]);
    spawnSync('chown', ['0:0', join(context, 'd/e')]); // somebody else's
    expect((await refused('APPLY_REFUSED', apply(box))).message).toMatch(/d\/e\/a cannot be: permission is denied; everything was put back/);
  }
  expect(gitTree(context)).toEqual(before);
};

// Root may write everywhere; what is mounted in a project is not of it.
const mounted = async (skip: (note: string) => never): Promise<void> => {
  const context = project();
  const place = join(context, 'd/e');
  if (spawnSync('mount', ['--bind', place, place]).status !== 0) give('mount is refused here', 'a mount in a project', skip);
  onTestFinished(() => void spawnSync('umount', ['-l', place]));
  const box = await createBox(await serve(context), {});
  await box.run('echo more >> a; mkdir -p d/e; echo more >> d/e/a; echo more >> e/a');
  const before = gitTree(context);
  expect((await refused('APPLY_CONFLICT', apply(box))).message).toMatch(/d\/e\/a/);
  expect(gitTree(context)).toEqual(before);
};

describe(`D3 an apply whose server is killed, as ${mode},`, () => {
  it('is nothing or all after the next start, at whatever moment it is', async () => {
    const names = Array.from({ length: 150 }, (_, index) => `f${index}`);
    const moments = [0, 40, 149];
    for (const moment of moments) {
      const home = makeHome();
      const context = project((directory) => {
        for (const name of names) writeFileSync(join(directory, name), 'original');
        mkdirSync(join(directory, 'gone'));
        writeFileSync(join(directory, 'gone/x'), 'original');
      });
      const server = await serve(context, home);
      const box = await createBox(server, {});
      await box.run('for f in f*; do echo changed > $f; done; mkdir new; echo x > new/x; rm -r gone; echo now a file > gone');
      const before = gitTree(context);
      const after = await box.gitTree();
      const done = apply(box).catch(() => undefined);
      const marked = join(context, names.toSorted()[moment]!);
      const end = Date.now() + 10_000;
      while (Date.now() < end && readFileSync(marked, 'utf8') === 'original') await setImmediate();
      await server.kill();
      await done;
      await (await serve(context, home)).close();
      const now = gitTree(context);
      expect([before, after], `at ${moment}`).toContainEqual(now);
      expect(leftovers(context)).toEqual([]);
      expect(statSync(join(context, 'f0')).uid).toBe(user.uid);
    }
  });
});
