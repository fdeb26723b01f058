/** Where two texts differ: the shortest list of edits, by Myers' algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986), within bounds. */
import type { Pace } from '../pace.ts';

/** A part of the first sequence and what stands in its place in the second; both ends exclusive, at least one of the parts not empty. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly newFrom: number;
  readonly newTo: number;
}

/** most elements that are taken out and put in, one by one; with more, all between the first and the last difference is one edit. Memory grows with its square */
const MOST_STEPS = 1500;

/** The edits that make the second sequence of the first, in order, with something equal between any two. */
export const editsBetween = async (a: Int32Array, b: Int32Array, pace: Pace): Promise<Edit[]> => {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const [left, right] = [a.subarray(start, a.length - end), b.subarray(start, b.length - end)];
  if (left.length === 0 && right.length === 0) return [];
  const edits = left.length === 0 || right.length === 0 ? null : await shortest(left, right, pace);
  return (edits ?? [{ from: 0, to: left.length, newFrom: 0, newTo: right.length }]).map((edit) => ({
    from: edit.from + start,
    to: edit.to + start,
    newFrom: edit.newFrom + start,
    newTo: edit.newTo + start,
  }));
};

// How far each diagonal (x - y) comes with so many steps, until one reaches the end; null when that takes too many.
const shortest = async (a: Int32Array, b: Int32Array, pace: Pace): Promise<Edit[] | null> => {
  const most = Math.min(a.length + b.length, MOST_STEPS);
  const middle = most + 1;
  const reached = new Int32Array(2 * middle + 1);
  const trace: Int32Array[] = [];
  for (let steps = 0; steps <= most; steps++) {
    for (let diagonal = -steps; diagonal <= steps; diagonal += 2) {
      let x = isDown(reached, middle, diagonal, steps) ? reached[middle + diagonal + 1]! : reached[middle + diagonal - 1]! + 1;
      while (x < a.length && x - diagonal < b.length && a[x] === b[x - diagonal]) x++;
      reached[middle + diagonal] = x;
      if (x >= a.length && x - diagonal >= b.length) return walkBack(trace, a.length, b.length);
    }
    trace.push(reached.slice(middle - steps - 1, middle + steps + 2));
    if (pace.due()) await pace.rest();
  }
  return null;
};

// Whether the way to a diagonal comes from the one above it, by an element put in, or from the one below, by one taken out.
const isDown = (reached: Int32Array, middle: number, diagonal: number, steps: number): boolean =>
  diagonal === -steps || (diagonal !== steps && reached[middle + diagonal - 1]! < reached[middle + diagonal + 1]!);

const walkBack = (trace: readonly Int32Array[], endX: number, endY: number): Edit[] => {
  const edits: Edit[] = [];
  let [x, y] = [endX, endY];
  for (let steps = trace.length; steps > 0; steps--) {
    const [reached, middle] = [trace[steps - 1]!, steps];
    const down = isDown(reached, middle, x - y, steps);
    const before = x - y + (down ? 1 : -1);
    const from = reached[middle + before]!;
    const newFrom = from - before;
    const [to, newTo] = down ? [from, newFrom + 1] : [from + 1, newFrom];
    const next = edits.at(-1);
    if (next?.from === to && next.newFrom === newTo) edits[edits.length - 1] = { ...next, from, newFrom };
    else edits.push({ from, to, newFrom, newTo });
    [x, y] = [from, newFrom];
  }
  return edits.reverse();
};
