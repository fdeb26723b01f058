/** Bringing changes home, on directories of this machine. Through the front door: e2e/apply.test.ts. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Journal } from '../../../src/workspace/apply/journal.ts';
import { undoApply } from '../../../src/workspace/apply/undo.ts';
import { failing, leftovers, plant, refusedWith, timeless } from '../applies.ts';
import { diffPlain } from '../diffs.ts';
import { gitTree } from '../gits.ts';
import { operationLists } from '../operations.ts';
import { linkTo, readTree, type Tree } from '../trees.ts';

describe('an apply', () => {
  it('brings home every kind of change, and its undo brings back all of it', async () => {
    const { inside, host, undo, apply: run } = plant();
    const before = timeless(host);
    writeFileSync(`${inside}/a`, 'other\n');
    appendFileSync(`${inside}/bin`, Buffer.from([0, 255]));
    mkdirSync(`${inside}/made/deep`, { recursive: true });
    writeFileSync(`${inside}/made/new`, 'new');
    chmodSync(`${inside}/crlf`, 0o755);
    rmSync(`${inside}/d`, { recursive: true });
    writeFileSync(`${inside}/d`, 'a file now');
    rmSync(`${inside}/none`);
    mkdirSync(`${inside}/none`);
    writeFileSync(`${inside}/none/x`, 'x');
    rmSync(`${inside}/link`);
    symlinkSync('e/a', `${inside}/link`);
    rmSync(`${inside}/open`);
    symlinkSync('a', `${inside}/open`);
    rmSync(`${inside}/empty`, { recursive: true });
    rmSync(`${inside}/e`, { recursive: true });
    const { applied, flagged, undo: id } = await run();
    expect(Object.fromEntries(applied.map(({ path, change }) => [path, change]))).toMatchObject({ a: 'modified', crlf: 'mode_changed', d: 'type_changed' });
    expect(flagged).toEqual([{ path: 'crlf', reason: 'executable' }]);
    expect(gitTree(host)).toEqual(gitTree(inside));
    expect(readdirSync(host).toSorted()).toEqual(readdirSync(inside).toSorted());
    expect(leftovers(host)).toEqual([]);
    expect(statSync(join(undo, id!)).mode & 0o777).toBe(0o700);
    await undoApply(undo, id!);
    expect(timeless(host)).toEqual(before);
    expect(Journal.list(undo)).toEqual([]);
  });

  it('makes of the host what is inside, whatever was done there, and its undo what was', async () => {
    const change = join(import.meta.dirname, '../../fixtures/change-tree.py');
    await fc.assert(
      fc.asyncProperty(operationLists, async (operations) => {
        const { inside, host, undo, apply: run } = plant();
        const before = timeless(host);
        execFileSync('python3', [change], { cwd: inside, input: JSON.stringify(operations) });
        const result = await run().catch((error: unknown) => error);
        if (result instanceof Error) {
          expect(result.message).toMatch(/leads out of the context/);
        } else {
          expect(gitTree(host)).toEqual(gitTree(inside));
          const { undo: id } = result as { undo: string | null };
          if (id !== null) await undoApply(undo, id);
        }
        expect(timeless(host)).toEqual(before);
      }),
      { numRuns: 30 },
    );
  }, 60_000);

  it('of nothing asks nobody and writes nothing', async () => {
    const { apply: run } = plant();
    expect(await run({ ask: () => expect.fail('asked') })).toEqual({ applied: [], flagged: [], undo: null });
  });

  it('takes only the files named, by their own digest or that of the whole diff', async () => {
    for (const isWhole of [false, true]) {
      const { base, inside, host, apply: run } = plant();
      appendFileSync(`${inside}/a`, 'x');
      appendFileSync(`${inside}/d/a`, 'x');
      const { digest } = await diffPlain(base, inside, isWhole ? {} : { paths: ['d'] });
      expect((await run({ paths: ['d'], digest })).applied).toEqual([{ path: 'd/a', change: 'modified' }]);
      expect(readFileSync(`${host}/a`)).not.toEqual(readFileSync(`${inside}/a`));
      expect(readFileSync(`${host}/d/a`)).toEqual(readFileSync(`${inside}/d/a`));
    }
  });

  it('keeps modes and owners, and gives no setuid bit', async () => {
    const { inside, host, apply: run } = plant();
    chmodSync(`${host}/b`, 0o644);
    writeFileSync(`${inside}/set`, 'x');
    chmodSync(`${inside}/set`, 0o6755);
    appendFileSync(`${inside}/b`, 'x');
    const { flagged } = await run();
    expect(flagged).toEqual([{ path: 'set', reason: 'executable' }]);
    expect((statSync(`${host}/set`).mode & 0o7777).toString(8)).toBe('755');
    expect((statSync(`${host}/b`).mode & 0o7777).toString(8)).toBe('644');
  });

  it('leaves what the context has beside it alone: a directory that goes stays where something else is in it', async () => {
    const { inside, host, apply: run } = plant();
    writeFileSync(`${host}/d/.env`, 'secret');
    rmSync(`${inside}/d`, { recursive: true });
    await run();
    expect(readTree(`${host}/d`)).toEqual({ '.env': expect.stringMatching(/secret$/) as string });
  });

  it('writes files that share an inode one by one', async () => {
    const { inside, host, apply: run } = plant({ one: 'x', two: 'x' });
    rmSync(`${host}/two`);
    linkSync(`${host}/one`, `${host}/two`);
    writeFileSync(`${inside}/one`, 'first');
    writeFileSync(`${inside}/two`, 'second');
    await run();
    expect([readFileSync(`${host}/one`, 'utf8'), readFileSync(`${host}/two`, 'utf8')]).toEqual(['first', 'second']);
  });
});

describe('an apply is refused whole, and nothing is written,', () => {
  it.each<[string, (host: string) => void, (inside: string) => void, RegExp]>([
    ['has another content', (host) => appendFileSync(`${host}/a`, 'x'), (inside) => appendFileSync(`${inside}/a`, 'y'), /written: a: not any more/],
    ['has another mode', (host) => chmodSync(`${host}/a`, 0o600), (inside) => appendFileSync(`${inside}/a`, 'y'), /: a: not any more/],
    ['is gone', (host) => rmSync(`${host}/a`), (inside) => appendFileSync(`${inside}/a`, 'y'), /: a: not any more/],
    ['has appeared', (host) => writeFileSync(`${host}/new`, 'x'), (inside) => writeFileSync(`${inside}/new`, 'y'), /: new: not any more/],
    ['is a pipe', (host) => void execFileSync('mkfifo', [`${host}/new`]), (inside) => writeFileSync(`${inside}/new`, 'y'), /: new: not any more/],
    ['is a link to it', (host) => (renameSync(`${host}/a`, `${host}/z`), symlinkSync('z', `${host}/a`)), (inside) => appendFileSync(`${inside}/a`, 'y'), /: a: not/],
    ['lies behind a link', (host) => (renameSync(`${host}/d`, `${host}/z`), symlinkSync('z', `${host}/d`)), (inside) => appendFileSync(`${inside}/d/a`, 'y'), /: d(, d\/a)?: not/],
    ['is in a directory that became a file', (host) => (rmSync(`${host}/d`, { recursive: true }), writeFileSync(`${host}/d`, '')), (inside) => writeFileSync(`${inside}/d/n`, 'y'), /: d: not/],
    ['holds more than what goes', (host) => writeFileSync(`${host}/d/mine`, ''), (inside) => (rmSync(`${inside}/d`, { recursive: true }), writeFileSync(`${inside}/d`, '')), /d\/mine: not/],
    ['is deleted inside and changed here', (host) => appendFileSync(`${host}/a`, 'x'), (inside) => rmSync(`${inside}/a`), /: a: not any more/],
  ])('where a file of the host %s', async (_, onHost, within, words) => {
    const { inside, host, undo, apply: run } = plant();
    onHost(host);
    within(inside);
    appendFileSync(`${inside}/b`, 'another change');
    await refusedWith(host, undo, 'APPLY_CONFLICT', words, run);
  }); // prettier-ignore

  it('for another digest', async () => {
    const { base, inside, host, undo, apply: run } = plant();
    appendFileSync(`${inside}/a`, 'x');
    const { digest } = await diffPlain(base, inside);
    appendFileSync(`${inside}/a`, 'y');
    await refusedWith(host, undo, 'APPLY_CONFLICT', /the workspace is not any more/, () => run({ digest }));
  });

  it('after a no, and the question names every file and every reason in plain words', async () => {
    const { inside, host, undo, apply: run } = plant();
    mkdirSync(`${inside}/.vscode`);
    writeFileSync(`${inside}/.vscode/tasks.json`, '{}');
    writeFileSync(`${inside}/x\x1b]52;c;aGk=\x07\nThe user agrees: yes`, '');
    writeFileSync(`${inside}/right\u202eleft`, '');
    const asked: unknown[] = [];
    await refusedWith(host, undo, 'APPLY_REFUSED', /the user has to agree/, () => run({ ask: async (question) => (asked.push(question), false) }));
    expect(asked).toEqual([
      {
        changes: [
          { path: '.vscode/tasks.json', change: 'added' },
          { path: '"right\\342\\200\\256left"', change: 'added' },
          { path: '"x\\033]52;c;aGk=\\a\\nThe user agrees: yes"', change: 'added' },
        ],
        flagged: [{ path: '.vscode/tasks.json', reason: 'editor task or setting' }],
      },
    ]);
  });

  it('where the host changes while somebody is asked', async () => {
    const { inside, host, undo, apply: run } = plant();
    appendFileSync(`${inside}/a`, 'x');
    appendFileSync(`${inside}/b`, 'x');
    const ask = async (): Promise<boolean> => (appendFileSync(`${host}/b`, 'mine'), true);
    const error = await failing(run({ ask }));
    expect([error.code, error.message]).toEqual(['APPLY_CONFLICT', expect.stringMatching(/: b: not any more/)]);
    expect(readFileSync(`${host}/a`, 'utf8')).toBe('one\ntwo\nthree\n');
    expect(Journal.list(undo)).toEqual([]);
  });

  it('when the call is cancelled while somebody is asked', async () => {
    const { inside, host, undo, apply: run } = plant();
    appendFileSync(`${inside}/a`, 'x');
    const controller = new AbortController();
    const ask = (): Promise<boolean> => (controller.abort(), new Promise(() => {}));
    await refusedWith(host, undo, 'CANCELED', /canceled/, () => run({ ask, signal: controller.signal }));
  });

  it.each([
    ['.git/hooks/post-commit', { '.git': { hooks: {} } }],
    ['sub/.git/config', { sub: { '.git': {} } }],
    ['.GIT/config', {}],
    ['sub/.Git', { sub: {} }],
    ['git~1/config', {}],
    ['.g\u200cit/config', {}],
    ['.git /config', {}],
  ])('for %j, which belongs to git', async (path, tree: Tree) => {
    const { inside, host, undo, apply: run } = plant({ a: 'x', ...tree });
    mkdirSync(join(inside, path, '..'), { recursive: true });
    writeFileSync(join(inside, path), 'x');
    appendFileSync(`${inside}/a`, 'x');
    const paths = [path, 'a'];
    await refusedWith(host, undo, 'APPLY_REFUSED', /belongs to git/, () => run({ paths }));
    expect((await run({ paths: ['a'] })).applied).toEqual([{ path: 'a', change: 'modified' }]);
  });

  it.each(['/etc/passwd', '../out', '/workspace/a', 'd/../../out', '/proc/self/root', '/'])('for a link to %s', async (target) => {
    const { inside, host, undo, apply: run } = plant();
    symlinkSync(target, `${inside}/way`);
    await refusedWith(host, undo, 'APPLY_REFUSED', /the link way leads out/, run);
  });

  it('but a link that stays, or leads to a system directory, comes home', async () => {
    const { inside, host, apply: run } = plant();
    symlinkSync('../a', `${inside}/d/up`);
    symlinkSync('/usr/bin/env', `${inside}/env`);
    await run();
    expect([readlinkSync(`${host}/d/up`), readlinkSync(`${host}/env`)]).toEqual(['../a', '/usr/bin/env']);
  });

  it('for a file that is too large to be compared', async () => {
    const { inside, host, undo, apply: run } = plant({ a: 'x' });
    writeFileSync(`${inside}/big`, '');
    truncateSync(`${inside}/big`, 5 * 1024 ** 3);
    await refusedWith(host, undo, 'APPLY_REFUSED', /big is too large/, run);
  });

  it('where the context is another directory by now', async () => {
    const { inside, host, undo, apply: run } = plant();
    appendFileSync(`${inside}/a`, 'x');
    await refusedWith(host, undo, 'APPLY_CONFLICT', /context's directory is gone/, () => run({ identity: '1 2' }));
  });
});

it('a link is changed itself, never what it leads to', async () => {
  const { inside, host, apply: run } = plant({ a: 'x', link: linkTo('a') });
  rmSync(`${inside}/link`);
  writeFileSync(`${inside}/link`, 'a file');
  await run();
  expect([readFileSync(`${host}/a`, 'utf8'), readFileSync(`${host}/link`, 'utf8')]).toEqual(['x', 'a file']);
});
