/** A context of the host copied into a directory: scan.ts says what, copy.ts brings it over, and this tells about it. */
import { SandboxError } from '../errors.ts';
import { hasCode } from '../syscall/call.ts';
import type { Fd } from '../syscall/files.ts';
import { copyEntries } from './copy.ts';
import type { LeftOut } from './entry.ts';
import type { Owner } from './filecopy.ts';
import { shownName } from './names.ts';
import { Pace } from './pace.ts';
import type { AllowedRoots } from './roots.ts';
import { judgeOf, type ContextRules } from './rules.ts';
import { scanContext } from './scan.ts';
import { trackedWarnings } from './tracked.ts';

export interface ContextOptions {
  readonly rules: ContextRules;
  readonly owner: Owner;
  /** where the git directories may lie that `.git` files name */
  readonly allowed: AllowedRoots;
}

/** What was copied. */
export interface ContextCopy {
  /** files and links */
  readonly files: number;
  /** content of the files in `bytes` */
  readonly bytes: number;
  /** equal for trees with equal paths, types, modes and contents, whatever their times; SHA-256 in hex */
  readonly digest: string;
  /** what was left out, the nearest to the top before others, at most 20; names quoted where they need it */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  readonly skippedCount: number;
  readonly warnings: readonly string[];
}

/**
 * Copies the tree below `source` into the empty directory `destination`, which nobody else writes meanwhile and whose own mode and times stay.
 * Throws CONTEXT_TOO_LARGE, CONTEXT_REFUSED for a tree that does not hold still, DISK_FULL and CANCELED; what is there then is the caller's to remove.
 */
export const copyContext = async (source: Fd, destination: Fd, { rules, owner, allowed }: ContextOptions, signal: AbortSignal): Promise<ContextCopy> => {
  const pace = new Pace(signal);
  pace.check();
  const judge = judgeOf(rules);
  const scan = await scanContext(source, { judge, limits: rules, allowed, pace });
  try {
    const { files, bytes, digest, ...copied } = await copyEntries(scan.entries, destination, { judge, owner, maxBytes: rules.maxBytes, pace });
    const leftOut = [...scan.leftOut, ...copied.leftOut];
    const warnings = [...scan.warnings, ...(await trackedWarnings(leftOut, scan.entries, destination, pace))];
    return { files, bytes, digest, skipped: nearestToTop(leftOut), skippedCount: leftOut.length, warnings };
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    throw new SandboxError('DISK_FULL', 'the context does not fit: no space is left where it is copied to', { hint: DISK_HINT, cause: error });
  } finally {
    scan.close();
  }
};

const DISK_HINT = 'name a smaller context, or use a policy that leaves more out of it or gives more `disk_mb`';
const SKIPPED_NAMED = 20;

const nearestToTop = (leftOut: readonly LeftOut[]): { path: string; reason: string }[] => {
  const byDepth: LeftOut[][] = [];
  for (const one of leftOut) (byDepth[one.path.split('/').length] ??= []).push(one);
  const nearest = byDepth.flatMap((some) => some.slice(0, SKIPPED_NAMED)).slice(0, SKIPPED_NAMED);
  return nearest.map(({ path, reason }) => ({ path: shownName(path), reason }));
};
