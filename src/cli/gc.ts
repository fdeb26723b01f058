/** `cellwall gc`: removes copies of contexts, and says what it removed. What a sandbox uses stays. */
import { storeIn } from '../workspace/store/store-place.ts';
import { openSnapshots } from '../workspace/store/store.ts';

/** Removes what nobody can come back to; with `all` everything that nobody uses. Resolves with the exit code. */
export const collectGarbage = async (cacheDir: string, all: boolean, out: NodeJS.WritableStream = process.stdout): Promise<number> => {
  const { removed, bytes, kept } = await openSnapshots(storeIn(cacheDir)).collect(all);
  out.write(`removed ${countOf(removed)} (${(bytes / MIB).toFixed(1)} MiB), kept ${countOf(kept)}\n`);
  return 0;
};

const MIB = 1024 * 1024;

const countOf = (snapshots: number): string => `${snapshots} ${snapshots === 1 ? 'snapshot' : 'snapshots'}`;
