import { expect, it } from 'vitest';
import { base85Lines } from '../../../src/workspace/diff/base85.ts';

it('each line begins with the letter of its length, and a word is five digits', () => {
  const first = (length: number) => base85Lines(Buffer.alloc(length)).split('\n').map((line) => line.slice(0, 1) + String(line.length)); // prettier-ignore
  expect([1, 26, 27, 52, 53].map(first)).toEqual([
    ['A6', '0'],
    ['Z36', '0'],
    ['a36', '0'],
    ['z66', '0'],
    ['z66', 'A6', '0'],
  ]);
  expect(base85Lines(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toBe('D|NsC0\n');
  expect(base85Lines(Buffer.alloc(0))).toBe('');
});
