import { closeSync, mkdirSync, renameSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pathOf } from '../../src/syscall/files.ts';
import { implicitRootRefusal, openContext, type AllowedRoots } from '../../src/workspace/roots.ts';
import { linkTo, makeTree } from './trees.ts';

const host = makeTree({
  work: {
    app: { 'a.txt': 'a' },
    '..foo': {},
    '.ssh': { x: {} },
    '.claude': { worktrees: { one: {} } },
    out: linkTo('../work-evil'),
    up: linkTo('..'),
    file: 'f',
  },
  'work-evil': { secret: '' },
  alias: linkTo('work'),
  home: { me: { '.config': { nvim: {}, gcloud: {} }, '.ssh': {}, '.cache': { x: {} }, project: { '.hidden': {} } } },
});
const me = `${host}/home/me`;
const allow = (roots: string[], operator: string[] = roots): AllowedRoots => ({ roots, operator, homes: [me] });
const work = allow([`${host}/work`]);

/** The code of the refusal, or the path of what was opened. */
const open = (context: string, allowed: AllowedRoots): string => {
  try {
    const { fd, path } = openContext(context, allowed);
    closeSync(fd);
    return path;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
};

describe('a context', () => {
  it('at or below an allowed root is opened and known by its canonical path', () => {
    expect(open(`${host}/work`, work)).toBe(`${host}/work`);
    expect(open(`${host}//work/./app/../app/`, work)).toBe(`${host}/work/app`);
    expect(open(`${host}/alias/app`, work)).toBe(`${host}/work/app`);
    expect(open(`${host}/work/..foo`, work)).toBe(`${host}/work/..foo`);
    expect(open(`${host}/work/app`, allow([`${host}/alias`]))).toBe(`${host}/work/app`);
    const { fd } = openContext(`${host}/work/app`, work);
    expect(readdirSync(pathOf(fd))).toEqual(['a.txt']);
    expect(open(pathOf(fd), work)).toBe('CONTEXT_REFUSED');
    closeSync(fd);
  });

  it('beside an allowed root is refused, whatever leads there', () => {
    for (const path of ['work-evil', 'work/../work-evil', 'work/out', 'work/up', 'work/up/work-evil', '', 'work/app/../..'])
      expect([path, open(`${host}/${path}`, work)]).toEqual([path, 'CONTEXT_REFUSED']);
    for (const path of ['/', '/proc/self/cwd', '/proc/self/root', '/etc']) expect(open(path, work)).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work`, allow([]))).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work`, allow(['work', `${host}/missing`, '']))).toBe('CONTEXT_REFUSED');
  });

  it('that does not exist is told so only inside an allowed root', () => {
    expect(open(`${host}/work/missing/too`, work)).toBe('CONTEXT_NOT_FOUND');
    expect(open(`${host}/gone`, allow([`${host}/gone`]))).toBe('CONTEXT_NOT_FOUND'); // a root itself
    expect(open(`${host}/gone/below`, allow([`${host}/gone`]))).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work/file`, work)).toBe('CONTEXT_NOT_FOUND');
    expect(open(`${host}/work/file/x`, work)).toBe('CONTEXT_NOT_FOUND');
    for (const path of ['missing', 'work-evil/missing', 'work-evil/secret', 'work/out/missing', 'work/up/missing/too'])
      expect(open(`${host}/${path}`, work)).toBe('CONTEXT_REFUSED');
    expect(open(`${me}/.ssh/missing`, allow([`${host}/home`]))).toBe('CONTEXT_REFUSED');
  });

  it('that is no absolute path is a mistake of the caller', () => {
    for (const path of ['', '.', 'work', '~', `${host}/work\0/x`, `/${'a/'.repeat(3000)}`]) expect(open(path, work)).toBe('INVALID_PARAMS');
    expect(open(`${host}/work/${'n'.repeat(300)}`, work)).toBe('CONTEXT_NOT_FOUND');
  });

  it('in a directory of secrets is refused unless a root of the operator lies in that directory too', () => {
    const home = allow([`${host}/home`]);
    for (const path of ['.ssh', '.config', '.config/nvim', '.config/gcloud', '.cache/x'])
      expect([path, open(`${me}/${path}`, home)]).toEqual([path, 'CONTEXT_REFUSED']);
    expect(open(`${me}/project/.hidden`, home)).toBe(`${me}/project/.hidden`);
    expect(open(`${me}/.config/nvim`, allow([`${me}/.config/nvim`]))).toBe(`${me}/.config/nvim`);
    expect(open(`${me}/.config/nvim`, allow([`${me}/.config`]))).toBe(`${me}/.config/nvim`);
    expect(open(`${me}/.config/gcloud`, allow([`${me}/.config`]))).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work/.ssh/x`, work)).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work/.claude/worktrees/one`, work)).toBe(`${host}/work/.claude/worktrees/one`);
  });

  it('in a directory of secrets that only a client named is refused', () => {
    expect(open(`${me}/.ssh`, allow([`${me}/.ssh`], []))).toBe('CONTEXT_REFUSED');
    expect(open(`${me}/.config/nvim`, allow([`${me}/.config/nvim`], [`${host}/work`]))).toBe('CONTEXT_REFUSED');
  });

  it('is refused without a word about the host beyond what the client named', () => {
    for (const path of [`${host}/work/out`, `${host}/work/up/home/me/.ssh`]) {
      const refused = (() => openContext(path, work)) as () => void;
      expect(refused).toThrow(path);
      expect(refused).not.toThrow('work-evil');
    }
  });

  it('that is renamed away while it is opened is judged by where it is', () => {
    const [inside, outside] = [`${host}/work/moving`, `${host}/moved`];
    mkdirSync(inside);
    symlinkSync(inside, `${host}/work/link`);
    const held = openContext(inside, work);
    renameSync(inside, outside);
    expect(open(pathOf(held.fd), work)).toBe('CONTEXT_REFUSED');
    expect(open(`${host}/work/link`, work)).toBe('CONTEXT_NOT_FOUND');
    closeSync(held.fd);
    rmdirSync(outside);
    writeFileSync(inside, '');
    expect(open(`${host}/work/link`, work)).toBe('CONTEXT_NOT_FOUND');
  });
});

describe('a root that nobody named', () => {
  const refusal = (path: string) => implicitRootRefusal(path, [me]);

  it('is never the whole machine, a home, or what is above one', () => {
    expect(refusal('/')).toMatch('whole machine');
    expect(refusal(me)).toMatch('is or holds a home');
    expect(refusal(`${host}/home`)).toMatch('is or holds a home');
    expect(refusal(`${host}/work/up/home/me/`)).toMatch('is or holds a home');
    expect(implicitRootRefusal('/usr/..')).toMatch('whole machine');
    expect(implicitRootRefusal('/home')).toMatch('is or holds a home');
    expect(implicitRootRefusal('/root')).toMatch('is or holds a home');
  });

  it('is never a directory of secrets', () => {
    for (const path of ['.ssh', '.config', '.config/nvim']) expect(refusal(`${me}/${path}`)).toMatch('secrets');
  });

  it('may be a project', () => {
    expect(refusal(`${host}/work/app`)).toBeNull();
    expect(refusal(`${me}/project`)).toBeNull();
    expect(refusal(`${host}/missing`)).toMatch('not a directory');
  });
});
