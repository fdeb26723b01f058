/** What a context's copy does not have, as it is told to clients. */
import type { LeftOut } from './entry.ts';
import { shownName } from '../names.ts';

/** most that are named */
const NAMED = 20;

/** In the order of the paths' bytes, so that equal trees tell the same. */
export const sortedLeftOut = (leftOut: readonly LeftOut[]): LeftOut[] => leftOut.toSorted((a, b) => (a.path < b.path ? -1 : 1));

/** The nearest to the top before others, at most 20, names quoted where they need it; and how many there are. */
export const skippedOf = (leftOut: readonly LeftOut[]): { skipped: { path: string; reason: string }[]; skippedCount: number } => {
  const byDepth: LeftOut[][] = [];
  for (const one of leftOut) (byDepth[one.path.split('/').length] ??= []).push(one);
  const nearest = byDepth.flatMap((some) => some.slice(0, NAMED)).slice(0, NAMED);
  return { skipped: nearest.map(({ path, reason }) => ({ path: shownName(path), reason })), skippedCount: leftOut.length };
};
