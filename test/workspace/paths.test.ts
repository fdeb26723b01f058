import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteStringOf, shownName } from '../../src/workspace/names.ts';
import { isOnlyInside, pathInside, shownPath } from '../../src/workspace/paths.ts';

const PATH = fc.uint8Array({ minLength: 1, maxLength: 40, min: 1 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

describe('pathInside', () => {
  it('whatever is shown of a path leads back to it', () => {
    fc.assert(
      fc.property(PATH, (path) => {
        expect(pathInside(shownName(`/${path}`), null)).toBe(`/${path}`);
      }),
    );
  });

  it('a text that is no quoted form means itself', () => {
    for (const text of ['"', '"a', '"a"b"', '"\\q"', '"\\4"', '"\\777"', 'a"b"', '"a\\"']) expect(pathInside(text, null)).toBe(`/workspace/${text}`);
  });

  it('the quoted form takes every escape of git, and characters as they are', () => {
    expect(pathInside('"\\a\\b\\t\\n\\v\\f\\r\\"\\\\\\303\\251é"', null)).toBe(`/workspace/\x07\b\t\n\v\f\r"\\\xc3\xa9${byteStringOf('é')}`);
  });

  it('no path at or below the context on the host leads anywhere but below /workspace', () => {
    const name = fc.constantFrom('a', 'b', '..', '.', '', 'proj', '..x');
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), (names) => {
        const path = pathInside(`/home/u/proj/${names.join('/')}`, '/home/u/proj');
        expect(path.startsWith('/workspace') || path.startsWith('/home/u/')).toBe(true);
        if (path.startsWith('/workspace')) expect(path.split('/')).not.toContain('..');
      }),
    );
  });

  it('a context that is the whole machine renames nothing', () => {
    expect(pathInside('/etc/passwd', '/')).toBe('/etc/passwd');
  });
});

it('only /proc, /sys and /dev are asked for inside, and not /dev/shm', () => {
  const [inside, here] = [
    ['/proc', '/proc/1', '/sys/', '/dev', '/dev/null', '/workspace/../proc/1', '//dev/', '/dev/shm/../null', '/dev/shmx'],
    ['/', '/process', '/dev/shm', '/dev/shm/x', '/proc/../etc', '/workspace/proc', '/devel'],
  ];
  expect(inside.filter(isOnlyInside)).toEqual(inside);
  expect(here.filter(isOnlyInside)).toEqual([]);
});

it('a path is shown as it was given: quoted once, without control characters, cut when long', () => {
  expect(shownPath('a b')).toBe('"a b"');
  expect(shownPath('"a\\nb"')).toBe('"a\\nb"');
  expect(shownPath('"a\x1bb"')).toBe('"\\"a\\u001bb\\""');
  expect(shownPath('x'.repeat(500))).toBe(`"${'x'.repeat(200)}…"`);
});
