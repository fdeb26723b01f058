/** Hashes of contents that may be large: a piece at a time, so that others get the event loop. */
import { createHash } from 'node:crypto';
import type { Pace } from './pace.ts';

const PIECE_BYTES = 256 * 1024;

/** The hash of several contents as one, in hex. */
export const hashOf = async (algorithm: 'sha1' | 'sha256', contents: readonly Buffer[], pace: Pace): Promise<string> => {
  const digest = createHash(algorithm);
  for (const content of contents) {
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      digest.update(content.subarray(at, at + PIECE_BYTES));
      if (pace.due()) await pace.rest();
    }
  }
  return digest.digest('hex');
};
