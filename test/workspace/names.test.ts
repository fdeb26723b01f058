import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteStringOf, bytesOf, isAtOrBelow, joinName, shownName, splitName } from '../../src/workspace/names.ts';

describe('a name', () => {
  it('is shown as it is where it is text', () => {
    for (const name of ['a b', 'é.txt', '名前', "it's", 'back\\slash', 'in"side']) expect(shownName(byteStringOf(name))).toBe(name);
  });

  it('is quoted as git does where it is not', () => {
    expect(shownName('a\xc3\nb')).toBe('"a\\303\\nb"');
    expect(shownName('\x1b[31m')).toBe('"\\033[31m"');
    expect(shownName('"quoted"')).toBe('"\\"quoted\\""');
    expect(shownName(byteStringOf('é\t'))).toBe('"\\303\\251\\t"');
  });

  it('never shows a control character or two names alike', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((array) => Buffer.from(array).toString('latin1'));
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(shownName(a)).not.toMatch(/\p{Cc}/u);
        if (a !== b) expect(shownName(a)).not.toBe(shownName(b));
        expect(bytesOf(a).toString('latin1')).toBe(a);
      }),
    );
  });

  it('is split where it was joined', () => {
    for (const path of ['a', 'a/b', 'a/b/c']) {
      const { folder, name } = splitName(path);
      expect(joinName(folder, name)).toBe(path);
    }
  });
});

it('a directory is not above another whose name begins with its own', () => {
  expect(['/work', '/work/a', '/work/..foo', '/'].map((path) => isAtOrBelow(path, '/work'))).toEqual([true, true, true, false]);
  expect(isAtOrBelow('/work-evil', '/work')).toBe(false);
  expect(isAtOrBelow('/anything', '/')).toBe(true);
});
