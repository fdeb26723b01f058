import { expect, it } from 'vitest';
import { selectionOf } from '../../../src/workspace/diff/selection.ts';

const holds = (paths: readonly string[] | undefined, ...asked: readonly string[]) => asked.filter((path) => selectionOf(paths, '/home/me/x').holds(path));

it('without paths all is meant, but for every .git and what is in it', () => {
  for (const paths of [undefined, [], ['.'], ['/workspace/']]) {
    expect(holds(paths, 'a', 'a/b', '.git', '.git/config', 'sub/.git', 'sub/.git/x', '.gitignore', 'x.git/y')).toEqual(['a', 'a/b', '.gitignore', 'x.git/y']);
  }
});

it('a path means itself and what is in it, by whole names, and not what has its name as a beginning', () => {
  expect(holds(['src', './b/c/../d/'], 'src', 'src/x', 'src-evil', 'b', 'b/d', 'b/d/e', 'b/c', 'a/src')).toEqual(['src', 'src/x', 'b/d', 'b/d/e']);
});

it('a path in the context on the host, an absolute one and a quoted one mean the same', () => {
  for (const path of ['a\nb', '/workspace/a\nb', '/home/me/x/a\nb', '"a\\nb"']) expect(holds([path], 'a\nb', 'a')).toEqual(['a\nb']);
});

it('.git is meant by a path that names it or something in it', () => {
  expect(holds(['.git'], '.git', '.git/config', '.git/modules/x/.git', 'a')).toEqual(['.git', '.git/config']);
  expect(holds(['sub/.git/config', 'sub'], 'sub/.git/config', 'sub/.git/HEAD', 'sub/a')).toEqual(['sub/.git/config', 'sub/a']);
});

it('directories above what is meant are reached, others are not', () => {
  const { reaches } = selectionOf(['a/b/c', '.git/x'], null);
  expect(['', 'a', 'a/b', 'a/b/c', 'a/b/c/d', '.git', '.git/x', 'b', 'a/c', '.git/y'].filter(reaches)).toEqual([
    '',
    'a',
    'a/b',
    'a/b/c',
    'a/b/c/d',
    '.git',
    '.git/x',
  ]);
});

it('what lies outside of the workspace is refused', () => {
  for (const path of ['/etc/passwd', '..', '../x', '/workspace-evil', '/home/me/x-evil']) {
    expect(() => selectionOf([path], '/home/me/x')).toThrow(expect.objectContaining({ code: 'PATH_REFUSED' }));
  }
});
