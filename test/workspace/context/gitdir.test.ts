import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AllowedRoots } from '../../../src/workspace/roots.ts';
import { itWith } from '../../requirements.ts';
import { copyTree, makeTree, namesIn, newDirectory, reasonsOf } from '../trees.ts';

const SECRET = 's3cr3t';
const run = (cwd: string, ...args: string[]): string =>
  execFileSync('git', ['-c', 'safe.directory=*', '-c', 'protocol.file.allow=always', '-c', 'user.name=x', '-c', 'user.email=x@x', ...args], {
    cwd,
    encoding: 'utf8',
    stdio: 'pipe',
  });
const allow = (...roots: string[]): AllowedRoots => ({ roots, operator: roots, homes: [] });

/** A repository with one commit, a remote whose URL holds a password, and whatever else `files` says. */
const newRepository = (files: Record<string, string> = {}): string => {
  const top = makeTree({ 'a.txt': 'a\n', 'b.txt': 'b\n', ...files });
  run(top, 'init', '-q', '-b', 'main');
  run(top, 'add', '-A', '-f');
  run(top, 'commit', '-q', '-m', 'first');
  run(top, 'remote', 'add', 'origin', `https://me:${SECRET}@example.com/x.git`);
  return top;
};
const holdsSecret = (path: string): boolean => namesIn(path).some((name) => !name.endsWith('/') && readFileSync(`${path}/${name}`, 'latin1').includes(SECRET));

describe('a copy of a repository', () => {
  itWith(['git'], 'is a checkout that git works in, without the credentials of its remotes', async () => {
    const source = newRepository();
    const copy = await copyTree(source);
    expect(run(copy.path, 'status', '--porcelain')).toBe('');
    expect(run(copy.path, 'remote', 'get-url', 'origin')).toBe('https://example.com/x.git\n');
    expect(run(copy.path, 'fsck')).toBe('');
    expect(holdsSecret(copy.path)).toBe(false);
    expect(copy.warnings).toEqual([]);
  });

  itWith(['git'], 'keeps a configuration that the policy asks for as it is', async () => {
    const copy = await copyTree(newRepository(), { include: ['.git/config'] });
    expect(holdsSecret(copy.path)).toBe(true);
  });

  itWith(['git'], 'warns of what git tracks and the copy lacks, in repositories within it too', async () => {
    const source = newRepository({ '.env': 'T=1', 'x.sql': '' });
    makeTree({ '.aws': { config: '', more: '' }, lib: {} }, source);
    run(source, 'add', '-f', '.aws');
    execFileSync('cp', ['-a', newRepository({ id_rsa: 'k' }), `${source}/lib/inner`]);
    writeFileSync(`${source}/.env.local`, '');
    const copy = await copyTree(source, { exclude: ['*.sql'] });
    expect(copy.skippedCount).toBe(5);
    expect(copy.warnings).toEqual([
      'left out although git tracks it: .aws, .env, x.sql, lib/inner/id_rsa; git shows it as deleted inside, and what was committed stays in .git/objects',
    ]);
  });
});

describe('a worktree', () => {
  const newWorktree = (): { main: string; tree: string } => {
    const main = newRepository();
    const tree = `${newDirectory()}/tree`;
    run(main, 'worktree', 'add', '-q', '-b', 'topic', tree);
    writeFileSync(`${tree}/b.txt`, 'changed\n');
    return { main, tree };
  };

  itWith(['git'], 'whose repository lies in an allowed root becomes a checkout of its own', async () => {
    const { main, tree } = newWorktree();
    run(main, 'worktree', 'add', '-q', '-b', 'other', `${newDirectory()}/other`);
    run(main, 'config', 'core.bare', 'true');
    const copy = await copyTree(tree, { allowed: allow(main, tree) });
    expect(copy.warnings).toEqual([]);
    expect(run(copy.path, 'status', '--porcelain', '--branch')).toBe('## topic\n M b.txt\n');
    expect(run(copy.path, 'log', '--oneline', 'main')).toMatch('first');
    run(copy.path, 'commit', '-q', '-a', '-m', 'second');
    expect(run(copy.path, 'fsck')).toBe('');
    expect(holdsSecret(copy.path)).toBe(false);
    expect(namesIn(copy.path)).not.toContain('.git/worktrees/');
    expect(run(main, 'log', '--oneline', 'topic')).not.toMatch('second');
  });

  itWith(['git'], 'whose repository lies elsewhere comes with a warning that git will not work', async () => {
    const { main, tree } = newWorktree();
    const refused = await copyTree(tree, { allowed: allow(tree) });
    expect(refused.warnings).toEqual(['git will not work in the workspace: .git is a file, and it names a git directory outside the allowed roots']);
    expect(namesIn(refused.path)).toEqual(['.git', 'a.txt', 'b.txt']);
    // The worktree's own part alone is of no use.
    const half = await copyTree(tree, { allowed: allow(tree, `${main}/.git/worktrees`) });
    expect(half.warnings).toEqual(refused.warnings);
  });

  itWith(['git'], 'that lies in the context beside its repository is copied as it is', async () => {
    const main = newRepository();
    run(main, 'worktree', 'add', '-q', '-b', 'topic', `${main}/trees/topic`);
    const copy = await copyTree(main, { allowed: allow(main) });
    expect(copy.warnings).toEqual([]);
    expect(readFileSync(`${copy.path}/trees/topic/.git`, 'utf8')).toBe(readFileSync(`${main}/trees/topic/.git`, 'utf8'));
  });
});

describe('a submodule', () => {
  itWith(['git'], 'whose repository lies in an allowed root becomes a checkout of its own', async () => {
    const outer = newRepository();
    run(outer, 'submodule', 'add', '-q', newRepository(), 'sub');
    const copy = await copyTree(`${outer}/sub`, { allowed: allow(outer) });
    expect(copy.warnings).toEqual([]);
    expect(run(copy.path, 'status', '--porcelain')).toBe('');
    expect(run(copy.path, 'rev-parse', '--show-toplevel')).toBe(`${copy.path}\n`);
  });

  itWith(['git'], 'works inside the copy of what it belongs to', async () => {
    const outer = newRepository();
    run(outer, 'submodule', 'add', '-q', newRepository(), 'sub');
    const copy = await copyTree(outer, { allowed: allow(outer) });
    expect(copy.warnings).toEqual([]);
    expect(run(`${copy.path}/sub`, 'status', '--porcelain')).toBe('');
  });
});

describe('a .git file', () => {
  it('that names no git directory brings nothing in and is warned of', async () => {
    const other = makeTree({ secret: 's', '.ssh': { HEAD: '', objects: {} }, half: { HEAD: 'x', commondir: '../secret' } });
    for (const [target, why] of [
      [other, 'it names what is no git directory'],
      [`${other}/secret`, 'it names a git directory that is not there'],
      [`${other}/.ssh`, 'it names a git directory among secrets'],
      [`${other}/half`, 'it names a git directory that is not there'],
      ['/etc', 'it names a git directory outside the allowed roots'],
    ]) {
      const copy = await copyTree(makeTree({ d: { '.git': `gitdir: ${target}\n` } }), { allowed: allow(other) });
      expect(copy.warnings).toEqual([`git will not work in d: d/.git is a file, and ${why}`]);
      expect(namesIn(copy.path)).toEqual(['d/', 'd/.git']);
    }
    expect((await copyTree(makeTree({ '.git': 'nothing' }))).warnings).toEqual([
      'git will not work in the workspace: .git is a file, and it names no git directory',
    ]);
  });

  it('does not bring in the secrets of the directory that it names', async () => {
    const other = newDirectory();
    makeTree(
      {
        git: {
          HEAD: 'ref: x',
          objects: {},
          refs: {},
          '.env': 'T=1',
          x: { '.git': `gitdir: ${other}/git` },
          config: `[remote "o"]\nurl = https://x:${SECRET}@h/\n`,
        },
      },
      other,
    );
    const copy = await copyTree(makeTree({ '.git': `gitdir: ${other}/git` }), { allowed: allow(other) });
    expect(reasonsOf(copy)).toEqual({ '.git/.env': 'secret' });
    expect(namesIn(copy.path)).toEqual(['.git/', '.git/HEAD', '.git/config', '.git/objects/', '.git/refs/', '.git/x/', '.git/x/.git']);
    expect(holdsSecret(copy.path)).toBe(false);
  });

  it('may be there many times, and no descriptor stays open for it', async () => {
    const other = makeTree({ git: { HEAD: 'ref: x', objects: {} } });
    const source = makeTree(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`d${index}`, { '.git': `gitdir: ${other}/git` }])));
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const copy = await copyTree(source, { allowed: allow(other) });
    expect(open()).toBe(before);
    expect(copy.warnings).toHaveLength(4);
    expect(copy.warnings[3]).toBe('git will not work in 5 more directories whose .git is a file');
  });
});
