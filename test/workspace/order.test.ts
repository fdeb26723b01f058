import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sortedByPath } from '../../src/workspace/order.ts';
import { Pace } from '../../src/workspace/pace.ts';

const pace = () => new Pace(new AbortController().signal);

it('names come in the order of their bytes, however many they are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 4 })), async (paths) => {
      const sorted = await sortedByPath(paths.map((path) => ({ path })), pace()); // prettier-ignore
      expect(sorted.map(({ path }) => path)).toEqual(paths.toSorted());
    }),
  );
  const many = Array.from({ length: 9001 }, (_, index) => ({ path: String((index * 7919) % 9001) }));
  expect((await sortedByPath(many, pace())).map(({ path }) => path)).toEqual(many.map(({ path }) => path).toSorted());
});
