/** sandbox_diff over a plain copy, kind by kind. Overlays: overlays.test.ts. */
import { execFileSync, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, chmodSync, cpSync, lstatSync, mkdirSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { baseOf, byPath, diffPlain } from '../diffs.ts';
import { gitApply, gitTree } from '../gits.ts';
import { PROJECT } from '../operations.ts';
import { makeTree, newDirectory, type Tree } from '../trees.ts';

/** A base, and a copy of it that may be changed. */
const plant = (tree: Tree = PROJECT) => {
  const original = makeTree(tree);
  const copy = newDirectory();
  cpSync(original, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return { original, copy, base: baseOf(original) };
};
const SHA = (content: string): string => hash('sha256', content);

describe('changes are', () => {
  it('none in a copy, whatever its times are', async () => {
    const { base, copy } = plant();
    utimesSync(`${copy}/a`, 1, 1);
    writeFileSync(`${copy}/b`, 'x');
    cpSync(`${base.layers[0]}/b`, `${copy}/b`);
    expect(await diffPlain(base, copy, { format: 'patch' })).toEqual({ changes: [], patch: '', truncated: false, digest: SHA('') });
  });

  it('told by kind, with size and whether they are binary', async () => {
    const { base, copy } = plant();
    writeFileSync(`${copy}/a`, 'other');
    appendFileSync(`${copy}/bin`, 'now text');
    writeFileSync(`${copy}/new`, '\0');
    rmSync(`${copy}/d`, { recursive: true });
    chmodSync(`${copy}/crlf`, 0o755);
    chmodSync(`${copy}/empty`, 0o700);
    rmSync(`${copy}/open`);
    symlinkSync('a', `${copy}/open`);
    rmSync(`${copy}/link`);
    symlinkSync('b', `${copy}/link`);
    mkdirSync(`${copy}/made/deep`, { recursive: true });
    const { changes, truncated } = await diffPlain(base, copy);
    expect(Object.fromEntries(changes.map(({ path, ...rest }) => [path, Object.values(rest).join(' ')]))).toEqual({
      a: 'modified 5 false',
      bin: 'modified 13 true',
      crlf: 'mode_changed 350 false',
      'd/a': 'deleted 5 false',
      'd/b': 'deleted 310 false',
      'd/e/a': 'deleted 5 false',
      'd/e/b': 'deleted 2 false',
      empty: 'mode_changed 0 false',
      link: 'modified 1 false',
      'made/deep': 'added 0 false',
      new: 'added 1 true',
      open: 'type_changed 1 false',
    });
    expect([changes.length, truncated]).toEqual([12, false]);
  });

  it('a directory that was emptied or filled is none, one that went while it was empty is', async () => {
    const { base, copy } = plant({ full: { a: '' }, void: {}, gone: {}, file: '', tree: { x: '' } });
    rmSync(`${copy}/full/a`);
    writeFileSync(`${copy}/void/b`, '');
    rmSync(`${copy}/gone`, { recursive: true });
    rmSync(`${copy}/file`);
    mkdirSync(`${copy}/file`);
    writeFileSync(`${copy}/file/y`, '');
    rmSync(`${copy}/tree`, { recursive: true });
    writeFileSync(`${copy}/tree`, '');
    expect(byPath(await diffPlain(base, copy))).toEqual({
      'full/a': 'deleted',
      'void/b': 'added',
      gone: 'deleted',
      file: 'type_changed',
      'file/y': 'added',
      tree: 'type_changed',
      'tree/x': 'deleted',
    });
  });

  it('shown by quoted names where they need it, and .git only to those who name it', async () => {
    const { base, copy } = plant({ '.git': { config: 'x' } });
    makeTree({ 'a\nb': '', '\xff': '', '.git': { config: 'y' }, sub: { '.git': 'z' } }, copy);
    expect(byPath(await diffPlain(base, copy))).toEqual({ '"a\\nb"': 'added', '"\\377"': 'added' });
    expect(byPath(await diffPlain(base, copy, { paths: ['.git', '"a\\nb"'] }))).toEqual({ '.git/config': 'modified', '"a\\nb"': 'added' });
    expect(byPath(await diffPlain(base, copy, { paths: ['/home/me/.git'] }, { contextPath: '/home/me' }))).toEqual({ '.git/config': 'modified' });
  });
});

describe('the digest', () => {
  it('is of path, change, type, mode and content of each change, ended by NULs', async () => {
    const { base, copy } = plant({ a: 'old', b: 'x' });
    rmSync(`${copy}/b`);
    writeFileSync(`${copy}/a`, 'new');
    chmodSync(`${copy}/a`, 0o750);
    const { digest } = await diffPlain(base, copy);
    expect(digest).toBe(SHA(`a\0modified\0file\x00750\0${SHA('new')}\0b\0deleted\0file\x00644\0${SHA('x')}\0`));
    expect((await diffPlain(base, copy, { format: 'patch', max_bytes: 1 })).digest).toBe(digest);
    expect((await diffPlain(base, copy, { paths: ['a'] })).digest).not.toBe(digest);
  });
});

describe('a patch', () => {
  it('makes the copy of the original, and says what it cannot hold', async () => {
    const { base, copy, original } = plant();
    writeFileSync(`${copy}/bin`, Buffer.from([0, 200, 3]));
    writeFileSync(`${copy}/crlf`, 'a\r\n');
    rmSync(`${copy}/e`, { recursive: true });
    writeFileSync(`${copy}/e`, 'now a file');
    rmSync(`${copy}/open`);
    symlinkSync('a', `${copy}/open`);
    rmSync(`${copy}/link`);
    symlinkSync('b', `${copy}/link`);
    mkdirSync(`${copy}/made`);
    chmodSync(`${copy}/b`, 0o600);
    const { patch, truncated } = await diffPlain(base, copy, { format: 'patch' });
    expect(truncated).toBe(false);
    expect(patch!.match(/^#.*$/gm)).toEqual([
      '# not in this patch: b (mode 0644 → 0600, which git does not tell apart)',
      '# not in this patch: made (git knows no empty directories)',
    ]);
    const twin = newDirectory();
    cpSync(original, twin, { recursive: true, verbatimSymlinks: true });
    expect(gitApply(twin, patch!)).toBeNull();
    expect(gitTree(twin)).toEqual(gitTree(copy));
  });

  it('holds whole files as long as there is room, and names the others', async () => {
    const { base, copy } = plant({ gone: 'y\n'.repeat(1000) });
    rmSync(`${copy}/gone`);
    makeTree({ a: 'x\n'.repeat(10), big: 'y\n'.repeat(1000), c: 'z\n' }, copy);
    const { patch, truncated, changes } = await diffPlain(base, copy, { format: 'patch', max_bytes: 500 });
    expect([truncated, changes.length]).toEqual([true, 4]);
    expect(patch!.match(/^diff.*$/gm)).toEqual(['diff --git a/a b/a', 'diff --git a/c b/c']);
    for (const path of ['big', 'gone']) expect(patch).toContain(`# not in this patch: ${path} (too large for what is left of max_bytes)\n`);
    expect(gitApply(newDirectory(), patch!)).toBeNull();
  });

  it('and the list count what they leave out', async () => {
    const { base, copy } = plant({});
    makeTree(Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`file-${index}`, 'text\n'])), copy);
    const { patch, changes, truncated } = await diffPlain(base, copy, { format: 'patch', max_bytes: 10_000 });
    expect([changes.length < 200, truncated]).toEqual([true, true]);
    const inside = patch!.match(/^diff/gm)!.length;
    expect(patch).toMatch(new RegExp(`\\n# not in this patch: ${400 - inside - 50} more\\n$`));
  });

  it('gives up a change of very many lines where there is no room for it', async () => {
    const { base, copy } = plant({ a: '' });
    writeFileSync(`${copy}/a`, '\n'.repeat(290_000));
    const { patch } = await diffPlain(base, copy, { format: 'patch', max_bytes: 500_000 });
    expect(patch).toBe('# not in this patch: a (too large for what is left of max_bytes)\n');
  });

  it('of a binary is asked for by what either side is, NULs late in a text among it', async () => {
    const { base, copy } = plant({ was: Buffer.from('a\0b'), late: 'x'.repeat(70_000) });
    writeFileSync(`${copy}/was`, 'text');
    writeFileSync(`${copy}/late`, `${'x'.repeat(70_000)}\0`);
    const { changes, patch } = await diffPlain(base, copy, { format: 'patch' });
    expect(changes.map(({ binary }) => binary)).toEqual([false, true]);
    expect(patch!.match(/^GIT binary patch$/gm)).toHaveLength(2);
  });
});

describe('hostile trees', () => {
  it('FIFOs and sockets are passed over, and one in the place of a file means that the file is gone', async () => {
    const { base, copy } = plant({ file: '' });
    rmSync(`${copy}/file`);
    execFileSync('mkfifo', [`${copy}/file`, `${copy}/new`]);
    expect(byPath(await diffPlain(base, copy))).toEqual({ file: 'deleted' });
  });

  it('links are never followed', async () => {
    const { base, copy } = plant({ d: { secret: 'mine' }, f: 'text' });
    const outside = makeTree({ secret: 'of the host' });
    rmSync(`${copy}/d`, { recursive: true });
    symlinkSync(outside, `${copy}/d`);
    rmSync(`${copy}/f`);
    symlinkSync(`${outside}/secret`, `${copy}/f`);
    symlinkSync('/proc/self/root', `${copy}/root`);
    const result = await diffPlain(base, copy, { format: 'patch' });
    expect(byPath(result)).toEqual({ d: 'type_changed', 'd/secret': 'deleted', f: 'type_changed', root: 'added' });
    expect(result.patch).not.toContain('of the host');
  });

  it('a sparse file of 1 TiB is listed and not read', async () => {
    const { base, copy } = plant({ f: '' });
    truncateSync(`${copy}/f`, 2 ** 40);
    writeFileSync(`${copy}/half`, '');
    truncateSync(`${copy}/half`, 300_000_000);
    const { changes, patch } = await diffPlain(base, copy, { format: 'patch' });
    expect(changes).toEqual([
      { path: 'f', change: 'modified', size: 2 ** 40, binary: true },
      { path: 'half', change: 'added', size: 300_000_000, binary: true },
    ]);
    expect(patch).toContain('# not in this patch: f (too large for a patch)');
  });

  it('what lies deeper than a path can say is passed over, which is told', async () => {
    const { base, copy } = plant({});
    execFileSync('python3', ['-c', 'import os\nfor _ in range(4000):\n os.mkdir("deep")\n os.chdir("deep")\nopen("f", "w")'], { cwd: copy });
    expect(await diffPlain(base, copy)).toMatchObject({ changes: [], truncated: true });
  });

  it('a tree that is never the same for long is compared to the end', async () => {
    const { base, copy } = plant({ d: { a: 'x', b: 'y' } });
    const outside = makeTree({ a: 'of the host', b: 'of the host' });
    symlinkSync(outside, `${copy}/e`);
    const swapper = spawn('python3', [join(import.meta.dirname, '../../fixtures/swap.py'), `${copy}/d`, `${copy}/e`]);
    try {
      await vi.waitUntil(() => lstatSync(`${copy}/d`).isSymbolicLink(), { timeout: 20_000 });
      const seen = new Set<string | undefined>();
      for (let round = 0; round < 300; round++) {
        const result = await diffPlain(base, copy, { format: 'patch' });
        expect(result.patch).not.toContain('of the host');
        seen.add(byPath(result)['d']);
      }
      expect(seen).toEqual(new Set([undefined, 'type_changed']));
    } finally {
      swapper.kill('SIGKILL');
      await once(swapper, 'exit');
    }
  });
});

describe('a comparison', () => {
  const large = () => plant(Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`f${index}`, `${index}`])));

  it('ends with CANCELED soon after the signal', async () => {
    const { base, copy } = large();
    const controller = new AbortController();
    const running = diffPlain(base, copy, {}, { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(running).rejects.toMatchObject({ code: 'CANCELED', message: 'comparing the workspace was canceled' });
  });

  it('ends with TIMED_OUT at its time limit', async () => {
    const { base, copy } = large();
    await expect(diffPlain(base, copy, {}, { timeLimitMs: 5 })).rejects.toMatchObject({ code: 'TIMED_OUT', hint: expect.stringContaining('paths') });
  });

  it('leaves the event loop to others again and again', async () => {
    const { base, copy } = large();
    for (let index = 0; index < 3000; index += 2) writeFileSync(`${copy}/f${index}`, 'text\n'.repeat(50));
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await diffPlain(base, copy, { format: 'patch', max_bytes: 500_000 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(20);
  });

  it('puts into a patch only what the digest is of', async () => {
    const { base, copy, original } = plant({ a: 'text\n' });
    writeFileSync(`${copy}/a`, 'new\n');
    const changing = {
      ...base,
      // Asked for when the changes are known and the patch is to be made.
      get layers() {
        writeFileSync(`${copy}/a`, 'newer\n');
        return [original];
      },
    };
    const { patch, truncated } = await diffPlain(changing, copy, { format: 'patch' });
    expect([patch, truncated]).toEqual(['# not in this patch: a (it changed meanwhile)\n', true]);
  });

  it('takes a layer that does not hold what its manifest says for what it is', async () => {
    const { base, copy, original } = plant({ a: 'text' });
    writeFileSync(`${copy}/a`, 'new');
    writeFileSync(`${original}/a`, 'damaged');
    const { patch, truncated } = await diffPlain(base, copy, { format: 'patch' });
    expect([patch, truncated]).toEqual(['# not in this patch: a (what it was at first cannot be read)\n', true]);
  });
});
