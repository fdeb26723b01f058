import fc from 'fast-check';
import { expect, it } from 'vitest';
import { editsBetween, type Edit } from '../../../src/workspace/diff/matching.ts';
import { Pace } from '../../../src/workspace/pace.ts';

const edits = (a: readonly number[], b: readonly number[]) => editsBetween(Int32Array.from(a), Int32Array.from(b), new Pace(new AbortController().signal));
const apply = (a: readonly number[], b: readonly number[], list: readonly Edit[]): number[] => {
  const result: number[] = [];
  let at = 0;
  for (const { from, to, newFrom, newTo } of list) {
    result.push(...a.slice(at, from), ...b.slice(newFrom, newTo));
    expect(result.length).toBe(newTo);
    at = to;
  }
  return [...result, ...a.slice(at)];
};
const steps = (list: readonly Edit[]): number => list.reduce((sum, { from, to, newFrom, newTo }) => sum + to - from + newTo - newFrom, 0);

// By the textbook: the longest common subsequence, all lengths in one table.
const fewest = (a: readonly number[], b: readonly number[]): number => {
  let row = Array.from({ length: b.length + 1 }, () => 0);
  for (const x of a) {
    const next = [0];
    for (const [index, y] of b.entries()) next.push(x === y ? row[index]! + 1 : Math.max(row[index + 1]!, next[index]!));
    row = next;
  }
  return a.length + b.length - 2 * row[b.length]!;
};

const sequences = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 25 });

it('the edits make the second sequence of the first, none touches the next, and no shorter list does', async () => {
  await fc.assert(
    fc.asyncProperty(sequences, sequences, async (a, b) => {
      const list = await edits(a, b);
      expect(apply(a, b, list)).toEqual(b);
      expect(steps(list)).toBe(fewest(a, b));
      for (const [index, edit] of list.slice(1).entries()) expect(edit.from).toBeGreaterThan(list[index]!.to);
    }),
    { numRuns: 1000 },
  );
});

it('with too many differences all between the first and the last is one edit', async () => {
  const a = Array.from({ length: 5000 }, (_, index) => index);
  const b = a.map((value) => (value > 1000 && value < 4000 && value % 2 === 0 ? -value : value));
  expect(await edits(a, b)).toEqual([{ from: 1002, to: 3999, newFrom: 1002, newTo: 3999 }]);
  const few = a.map((value) => (value % 50 === 0 ? -value - 1 : value));
  expect(steps(await edits(a, few))).toBe(200);
});
