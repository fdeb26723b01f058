import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { itWith } from '../requirements.ts';
import { gitApply, gitTree } from '../workspace/gits.ts';
import { operationLists, PROJECT, type Operation } from '../workspace/operations.ts';
import { makeTree } from '../workspace/trees.ts';
import { createBox, type Box } from './harness/box.ts';
import { makeDirectory } from './harness/home.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';
import { shareServer } from './harness/server.ts';

let context: string;
beforeAll(() => {
  context = makeDirectory('project', (directory) => {
    makeTree(PROJECT, directory);
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, '.git/HEAD'), 'ref: refs/heads/main\n');
    writeFileSync(join(directory, '.env'), 'TOKEN=secret\n');
    copyFileSync(join(import.meta.dirname, '../fixtures/change-tree.py'), join(directory, 'change.py'));
  });
});
const server = shareServer(() => ({ args: ['--context', context] }));
const open = (): Promise<Box> => createBox(server(), {});

const Diff = z.strictObject({
  changes: z.array(z.strictObject({ path: z.string(), change: z.string(), size: z.number(), binary: z.boolean() })),
  patch: z.string().nullable(),
  digest: z.string(),
  truncated: z.boolean(),
});
type Diff = z.output<typeof Diff>;
const diff = async (box: Box, params = {}): Promise<Diff> => Diff.parse(await server().call('sandbox_diff', { sandbox_id: box.id, ...params }));
const byPath = ({ changes }: Diff): Record<string, string> => Object.fromEntries(changes.map(({ path, change }) => [path, change]));

/** What git makes of a patch on another copy of the project. */
const patched = (patch: string): Record<string, string> => {
  const twin = makeDirectory('twin', (directory) => {
    makeTree(PROJECT, directory);
    copyFileSync(join(import.meta.dirname, '../fixtures/change-tree.py'), join(directory, 'change.py'));
  });
  if (/^diff/m.test(patch)) expect(gitApply(twin, patch), patch).toBeNull();
  return gitTree(twin);
};

const change = (box: Box, operations: readonly Operation[]) => box.run(['python3', 'change.py'], { stdin: JSON.stringify(operations) });

describe(`sandbox_diff, as ${mode}`, () => {
  it('of a sandbox that nobody has touched is empty, secrets that were left out among it', async () => {
    const box = await open();
    expect(await diff(box, { format: 'patch' })).toMatchObject({ changes: [], patch: '', truncated: false });
    await box.run('cat a d/a > /dev/null; touch -d 2001-01-01 a; chmod 755 b; chmod 644 b; echo TOKEN=mine > .env');
    expect(byPath(await diff(box))).toEqual({ '.env': 'added' });
    await box.destroy();
  });

  itWith(['git'], 'tells every kind of change, in words too, and gives a patch that git takes', async () => {
    const box = await open();
    const { sha256 } = await server().call('sandbox_write', { sandbox_id: box.id, path: 'a', edits: [{ old_text: 'two', new_text: 'zwölf' }] });
    expect(sha256).toHaveLength(64);
    await box.run(
      `printf 'more\\r\\n' >> crlf; printf '\\0' >> bin; rm none; ln -sf b link; chmod 755 b; rm -r e; mkdir e; echo x > e/new; mv d moved; rm open; ln -s a open; mkdir -p made/empty; mkfifo pipe; printf x > "$(printf 'n\\nl\\377')"; echo y > .git/HEAD`,
    );
    const result = await diff(box, { format: 'patch' });
    expect(byPath(result)).toEqual({
      a: 'modified',
      b: 'mode_changed',
      bin: 'modified',
      crlf: 'modified',
      'd/a': 'deleted',
      'd/b': 'deleted',
      'd/e/a': 'deleted',
      'd/e/b': 'deleted',
      'e/a': 'deleted',
      'e/new': 'added',
      'e/q"b\\': 'deleted',
      'e/sp ace': 'deleted',
      link: 'modified',
      'made/empty': 'added',
      'moved/a': 'added',
      'moved/b': 'added',
      'moved/e/a': 'added',
      'moved/e/b': 'added',
      '"n\\nl\\377"': 'added',
      none: 'deleted',
      open: 'type_changed',
    });
    expect(patched(result.patch!)).toEqual(await box.gitTree());
    const text = (await server().callRaw('sandbox_diff', { sandbox_id: box.id, format: 'patch' })).content.map((block) => block.text).join('');
    for (const part of [`21 changes, digest ${result.digest}`, '\nM b (mode)\n', '\nA moved/a\n', '\n+zwölf\n', '\nGIT binary patch\n', result.patch!])
      expect(text).toContain(part);
    await box.destroy();
  });

  it('is limited to the paths named, .git among them', async () => {
    const box = await open();
    await box.run('echo x >> d/a; echo x >> d/e/a; echo x >> b; echo x > .git/HEAD; rm -r e');
    expect(byPath(await diff(box, { paths: ['d/e', '/workspace/b', '.git', join(context, 'e/a')] }))).toEqual({
      'd/e/a': 'modified',
      b: 'modified',
      '.git/HEAD': 'modified',
      'e/a': 'deleted',
    });
    await refused('PATH_REFUSED', diff(box, { paths: ['/etc'] }));
    await box.destroy();
  });

  it('of an empty workspace is all that was made in it', async () => {
    const box = await createBox(server());
    await box.run('mkdir d; echo x > d/f');
    expect(byPath(await diff(box))).toEqual({ 'd/f': 'added' });
    await box.destroy();
  });

  it('never shows a file of the host while a program exchanges directories and links', async () => {
    const box = await open();
    await box.run('mkdir -p s; ln -s /etc t; echo mine > s/passwd; echo mine > s/hostname');
    await box.swap('s', 't');
    for (let round = 0; round < 60; round++) {
      const { patch } = await diff(box, { format: 'patch', paths: ['s', 't'] });
      expect(patch).not.toMatch(/root:|^\+agent|cellwall$/m);
    }
    await box.destroy();
  });

  it('ends when the sandbox is destroyed', async () => {
    const box = await open();
    await box.run(['python3', '-c', 'for i in range(20000): open(f"f{i}", "w").write("x" * 2000)']);
    const running = diff(box, { format: 'patch' }).then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
    await box.destroy();
    expect(await running).toBe('SANDBOX_NOT_FOUND');
  });

  itWith(['git'], 'makes of the original what is inside, whatever was done there', async () => {
    for (const operations of fc.sample(operationLists, { numRuns: 12, seed: Date.now() })) {
      const box = await open();
      await change(box, operations);
      const { patch } = await diff(box, { format: 'patch', max_bytes: 400_000 });
      expect(patched(patch!), JSON.stringify(operations)).toEqual(await box.gitTree());
      await box.destroy();
    }
  });
});
