/** Sorting that lets others have the event loop: a directory may hold hundreds of thousands of names. */
import type { ByteString } from './names.ts';
import type { Pace } from './pace.ts';

interface Named {
  readonly path: ByteString;
}

/** items that are sorted in one go */
const RUN_LENGTH = 2000;
/** steps of a merge between two looks at the clock */
const MERGE_STEPS = 500;

const before = (a: Named, b: Named): number => (a.path < b.path ? -1 : 1);

/** The items in the order of their paths' bytes; no two have the same path. */
export const sortedByPath = async <T extends Named>(items: readonly T[], pace: Pace): Promise<T[]> => {
  let runs: T[][] = [];
  for (let at = 0; at < items.length; at += RUN_LENGTH) {
    runs.push(items.slice(at, at + RUN_LENGTH).sort(before));
    if (pace.due()) await pace.rest();
  }
  while (runs.length > 1) {
    const longer: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) longer.push(await merged(runs[at]!, runs[at + 1] ?? [], pace));
    runs = longer;
  }
  return runs[0] ?? [];
};

const merged = async <T extends Named>(left: T[], right: T[], pace: Pace): Promise<T[]> => {
  const result: T[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const takeLeft = r >= right.length || (l < left.length && before(left[l]!, right[r]!) < 0);
    result.push(takeLeft ? left[l++]! : right[r++]!);
    if (result.length % MERGE_STEPS === 0 && pace.due()) await pace.rest();
  }
  return result;
};
