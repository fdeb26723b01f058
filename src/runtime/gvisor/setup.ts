/** Gets runsc: takes the one that is there, else builds it from gVisor's Go module into the cache. */
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { buildRunsc, whyUnfit } from './build.ts';
import type { Report } from './go.ts';
import { findRunsc, type FoundRunsc } from './runsc.ts';
import { inStore, whyChanged } from './store.ts';

export type { Progress, Report } from './go.ts';

export interface SetupOptions {
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** whose files count as ours; the process's own user when left out */
  readonly uid?: number;
  /** as in findRunsc */
  readonly systemDirs?: readonly string[];
}

export interface SetupResult extends FoundRunsc {
  readonly how: 'present' | 'built';
  /** what was checked, in words for a person */
  readonly verified: string;
}

/**
 * The runsc that servers will use from now on: the one that findRunsc finds if it runs, else one built by `go install` into the cache.
 * Several at once wait for each other; one that fails or is aborted leaves nothing half-made. There is no time limit but `signal`.
 * Throws RUNTIME_UNAVAILABLE (an unusable CELLWALL_RUNSC, no Go, a build that failed, a cache that others may write), HOST_FULL, CANCELED.
 */
export const setupRunsc = async (options: SetupOptions): Promise<SetupResult> => {
  const { cacheDir, signal, report, uid = process.getuid!() } = options;
  try {
    const present = await findFit(options);
    if (present) return present;
    return await inStore({ cacheDir, uid, signal, report }, async (store) => {
      const meanwhile = await findFit({ ...options, report: () => {} }); // its notes were given before the wait
      if (meanwhile) return meanwhile;
      const verified = await store.make(async (workshop) => buildRunsc({ ...options, workshop }));
      return { ...findRunsc({ env: {}, cacheDir, uid }), how: 'built', verified };
    });
  } catch (error) {
    throw toSetupError(error, signal);
  }
};

// A runsc that is there and runs; null when one must be built. CELLWALL_RUNSC is the user's word: when it does not hold, nothing takes its place.
const findFit = async (options: SetupOptions): Promise<SetupResult | null> => {
  const { env, signal, report } = options;
  const found = lookFor(options);
  if (found === null) return null;
  const cached = found.source === 'cache';
  const flaw = (cached && (await whyChanged(found.path))) || (await whyUnfit(found.path, signal));
  if (!flaw) return { ...found, how: 'present', verified: [...(cached ? [RECORDED] : []), 'only root or you can change it', 'it runs'].join('; ') };
  if (env['CELLWALL_RUNSC']) {
    const hint = 'name another one by its absolute path, or unset CELLWALL_RUNSC';
    throw new SandboxError('RUNTIME_UNAVAILABLE', `the runsc that CELLWALL_RUNSC names cannot be used: ${flaw}`, { hint, cause: new Error(found.path) });
  }
  report({ kind: 'note', text: `${found.path} is not used: ${flaw}` });
  return null;
};

const RECORDED = 'its SHA-256 is the one recorded when it was built';

// What servers would find; null, after a note where it was refused, when they would find none.
const lookFor = ({ cacheDir, env, report, uid = process.getuid!(), systemDirs }: SetupOptions): FoundRunsc | null => {
  try {
    return findRunsc({ env, cacheDir, uid, ...(systemDirs && { systemDirs }) });
  } catch (error) {
    if (env['CELLWALL_RUNSC'] || !(error instanceof SandboxError)) throw error;
    if (error.cause instanceof Error) report({ kind: 'note', text: `${error.message} (${error.cause.message})` });
    return null;
  }
};

const toSetupError = (error: unknown, signal: AbortSignal): unknown => {
  if (signal.aborted) return new SandboxError('CANCELED', 'setup was stopped: nothing was left half-made', { hint: 'run `cellwall setup` again' });
  if (error instanceof SandboxError) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new SandboxError('HOST_FULL', 'runsc was not made: the disk is full', { hint: 'free about 2 GB', cause: error });
  if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) {
    const hint = 'make the cache directory writable for you, or name another one with --cache-dir';
    return new SandboxError('RUNTIME_UNAVAILABLE', 'runsc was not made: the cache directory cannot be written', { hint, cause: error });
  }
  return error;
};
