import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanOutput } from '../../src/server/clean.ts';

const ESC = '\x1b';

describe('terminal escapes', () => {
  test.each([
    ['colours', `${ESC}[1;31mred${ESC}[0m`, 'red'],
    ['cursor movement and erasing', `${ESC}[2K${ESC}[1Gdone`, 'done'],
    ['a title, ended by BEL', `${ESC}]0;title\x07text`, 'text'],
    ['a clipboard write, ended by ST', `${ESC}]52;c;c2VjcmV0${ESC}\\text`, 'text'],
    ['a link', `${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\`, 'link'],
    ['a device control string', `${ESC}P1$r0m${ESC}\\text`, 'text'],
    ['a character set', `${ESC}(Btext`, 'text'],
    ['single functions', `${ESC}7a${ESC}8b${ESC}=c${ESC}c`, 'abc'],
    ['the eight-bit forms', '\x9b31mred\x9b0m \x9d0;title\x9ctext', 'red text'],
    ['a sequence that is cut off', `text${ESC}[38;5`, 'text'],
    ['an escape alone', `a${ESC}`, 'a'],
    ['escapes in escapes', `${ESC}${ESC}[0m[31mtext`, '[31mtext'],
  ])('%s are removed', (_name, printed, wanted) => {
    expect(cleanOutput(printed)).toBe(wanted);
  });

  test('a string without an end does not swallow the output after it', () => {
    expect(cleanOutput(`${ESC}]0;no end\nline two\nline three\x07`)).toBe('0;no end\nline two\nline three\x07');
  });

  test('text without any is given as it is', () => {
    const text = 'tabs\tand\u00a0spaces, é 漢字 👩‍💻, [31m, ^[, \\x1b\n\n  indented  \n\x00\x07\b';
    expect(cleanOutput(text)).toBe(text);
  });
});

describe('overwritten progress', () => {
  test.each([
    ['10%\r50%\r100%\n', '100%\n'],
    ['10%\r50%\r', '50%'],
    [`a\n1/2\r2/2\r\r\nb\r\nc\n`, 'a\n2/2\r\nb\r\nc\n'],
    [`${ESC}[2Kfetching\r${ESC}[2Kdone\n`, 'done\n'],
    ['dos\r\nfile\r\n', 'dos\r\nfile\r\n'],
    ['\r\n\r\n', '\r\n\r\n'],
  ])('%j comes to its last state', (printed, wanted) => {
    expect(cleanOutput(printed)).toBe(wanted);
  });
});

describe('equal lines', () => {
  const run = (count: number): string => `start\n${'same\n'.repeat(count)}end\n`;

  test('ten and more are folded into one with a count, where that is asked for', () => {
    expect(cleanOutput(run(1234), { fold: true })).toBe('start\nsame … this line 1234 times …\nend\n');
    expect(cleanOutput(run(10), { fold: true })).toBe('start\nsame … this line 10 times …\nend\n');
    expect(cleanOutput(run(9), { fold: true })).toBe(run(9));
    expect(cleanOutput(run(1234))).toBe(run(1234));
  });
});

describe('any text', () => {
  const printed = fc
    .array(fc.oneof(fc.string(), fc.constantFrom(ESC, '\r', '\n', '\r\n', '[', ']', 'P', '\\', '\x07', '\x9b', '\x9d', '\x9c', '31m', ' ', 'x')), {
      maxLength: 40,
    })
    .map((parts) => parts.join(''));

  test('holds no escape after cleaning', () => {
    const isEscape = (character: string): boolean => character === ESC || (character >= '\x80' && character <= '\x9f');
    fc.assert(fc.property(printed, fc.boolean(), (text, fold) => !Array.from(cleanOutput(text, { fold })).some(isEscape)));
  });

  test('cleaned twice is cleaned once', () => {
    fc.assert(fc.property(printed, (text) => cleanOutput(cleanOutput(text)) === cleanOutput(text)));
  });

  test('loses no line', () => {
    const lines = (text: string): number => text.split('\n').length;
    fc.assert(fc.property(printed, (text) => lines(cleanOutput(text)) === lines(text)));
  });

  // A search that looks at every pair of characters does not come to an end here within the limit of a test.
  test.each([`${ESC}]`, `${ESC}[`, '\x9d', '\x9b', `${ESC}P1;`, '\r', `${ESC}[1;`, ESC, `${ESC} `])('of a million times %j takes linear time', (part) => {
    expect(cleanOutput(part.repeat(1_000_000)).length).toBeLessThanOrEqual(part.length * 1_000_000);
    expect(cleanOutput(part + '1'.repeat(5_000_000)).length).toBeLessThanOrEqual(part.length + 5_000_000);
  });
});
