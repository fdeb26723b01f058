/** What git tracks and a snapshot does not have, told from the indexes in its layers. */
import { closeSync, lstatSync } from 'node:fs';
import { openDirectory } from '../../syscall/files.ts';
import type { Entry, LeftOut } from '../context/entry.ts';
import { bytesBelow } from '../names.ts';
import type { Pace } from '../pace.ts';
import { trackedWarnings } from '../context/tracked.ts';

/** The warnings about files that are left out and tracked. `layers`: directories, the uppermost first. */
export const trackedIn = async (layers: readonly string[], leftOut: readonly LeftOut[], entries: readonly Entry[], pace: Pace): Promise<string[]> => {
  let indexes = leftOut.length === 0 ? [] : entries.filter(({ path, type }) => type === 'file' && (path === '.git/index' || path.endsWith('/.git/index')));
  const warnings: string[] = [];
  for (const layer of layers) {
    if (indexes.length === 0) break;
    const top = openDirectory(layer);
    try {
      const here = indexes.filter(({ path }) => lstatSync(bytesBelow(top, path), { throwIfNoEntry: false })?.isFile() === true);
      warnings.push(...(await trackedWarnings(leftOut, here, top, pace)));
      indexes = indexes.filter((entry) => !here.includes(entry));
    } finally {
      closeSync(top);
    }
  }
  return warnings;
};
