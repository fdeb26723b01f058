import { describe, expect, it } from 'vitest';
import { judgeOf } from '../../../src/workspace/context/rules.ts';

describe('a policy', () => {
  it('leaves out by the patterns of gitignore', () => {
    const judge = judgeOf({ exclude: ['*.sql', '/dist/', '!keep.sql', 'é?'], include: [] });
    const excluded = (path: string, isDirectory = false) => judge.byName(path, isDirectory) === 'excluded by the policy';
    expect(['dump.sql', 'a/b.sql', 'keep.sql', 'DUMP.SQL', 'a/dist'].map((path) => excluded(path))).toEqual([true, true, false, false, false]);
    expect([excluded('dist', true), excluded('dist'), excluded('a/dist', true)]).toEqual([true, false, false]);
    expect([excluded('\xc3\xa9x'), excluded('\xe9x')]).toEqual([true, false]);
  });

  it('asks for a secret by its exact path and for nothing beside it', () => {
    const judge = judgeOf({ exclude: [], include: ['.env', './a/id_rsa', 'b/sa.json'] });
    expect(['.env', 'a/id_rsa'].map((path) => judge.byName(path, false))).toEqual([null, null]);
    expect(['a/.env', '.env.local', 'id_rsa'].map((path) => judge.byName(path, false))).toEqual(['secret', 'secret', 'secret']);
    const key = Buffer.from('{"private_key": "x"}');
    expect([judge.byContent('b/sa.json', key), judge.byContent('sa.json', key)]).toEqual([null, 'secret']);
  });

  it('asks for one file in a directory of secrets and gets no other', () => {
    const judge = judgeOf({ exclude: [], include: ['x/.aws/config'] });
    expect(judge.byName('x/.aws', true)).toBeNull();
    expect(judge.byName('x/.aws/config', false)).toBeNull();
    expect(judge.byName('x/.aws/credentials', false)).toBe('secret');
    expect(judge.byName('x/.aws/cli', true)).toBe('secret');
    expect(judge.byName('.aws', true)).toBe('secret');
  });

  it('asks for a directory of secrets as a whole, and still not for the keys in it', () => {
    const judge = judgeOf({ exclude: [], include: ['.ssh/'] });
    expect([judge.byName('.ssh', true), judge.byName('.ssh/config', false), judge.byName('.ssh/d/known', false)]).toEqual([null, null, null]);
    expect(judge.byName('.ssh/id_rsa', false)).toBe('secret');
  });

  it('cannot ask for what it leaves out', () => {
    expect(judgeOf({ exclude: ['.env'], include: ['.env'] }).byName('.env', false)).toBe('excluded by the policy');
  });
});
