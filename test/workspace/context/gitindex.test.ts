import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readGitIndex } from '../../../src/workspace/context/gitindex.ts';
import { itWith } from '../../requirements.ts';
import { linkTo, makeTree } from '../trees.ts';

const long = 'n'.repeat(200);
const TREE = { a: '1', 'a.b': '2', d: { e: { f: '3', 'f\xe9': '4' }, [long]: { [long]: { ['deep'.repeat(30)]: '5' } } }, l: linkTo('a'), z: '6' };
const PATHS = ['a', 'a.b', 'd/e/f', 'd/e/f\xe9', `d/${long}/${long}/${'deep'.repeat(30)}`, 'l', 'z'];

const repository = (...options: string[]): { git: (...args: string[]) => void; index: () => Buffer } => {
  const top = makeTree(TREE);
  const git = (...args: string[]) => void execFileSync('git', args, { cwd: top, stdio: 'pipe' });
  git('init', '-q', ...options);
  git('add', '.');
  return { git, index: () => readFileSync(`${top}/.git/index`) };
};
const pathsOf = (index: Buffer) => [...(readGitIndex(index) ?? ['none'])].sort();

describe('an index', () => {
  for (const format of ['sha1', 'sha256']) {
    for (const version of ['2', '3', '4']) {
      itWith(['git'], `that git wrote in version ${version} with ${format} names the paths that git tracks`, () => {
        const { git, index } = repository(`--object-format=${format}`);
        if (version === '3') git('update-index', '--skip-worktree', 'd/e/f');
        else git('update-index', '--index-version', version);
        expect(index().readUInt32BE(4)).toBe(Number(version));
        expect(pathsOf(index())).toEqual(PATHS.toSorted());
      });
    }
  }

  itWith(['git'], 'that is cut or overwritten anywhere ends early and never fails', () => {
    const whole = repository().index();
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (length, at, byte) => {
        const broken = Buffer.from(whole);
        broken[at] = byte;
        expect([...(readGitIndex(broken.subarray(0, length)) ?? [])].length).toBeLessThanOrEqual(PATHS.length);
      }),
    );
  });

  it('that is none is told', () => {
    for (const bytes of ['', 'DIRC', 'DIRC\0\0\0\x09\0\0\0\0', 'not an index at all']) expect(readGitIndex(Buffer.from(bytes, 'latin1'))).toBeNull();
  });
});
