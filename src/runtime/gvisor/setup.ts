/** Gets runsc: takes the one that is there, else builds it from gVisor's Go module into the cache. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SandboxError } from '../../errors.ts';
import { call, hasCode } from '../../syscall/call.ts';
import { LOCK_EX, LOCK_NB } from '../../syscall/constants.ts';
import { buildRunsc, whyUnfit } from './build.ts';
import { cachedRunsc, findRunsc, RUNSC_VERSION, type FoundRunsc } from './runsc.ts';
import { followTrusted, Untrusted } from './trust.ts';

export interface SetupOptions {
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly report: (progress: Progress) => void;
  /** whose files count as ours; the process's own user when left out */
  readonly uid?: number;
  /** as in findRunsc */
  readonly systemDirs?: readonly string[];
}

/** What setup does: a `note` is worth a line of its own, a `status` is overtaken by the next one. */
export interface Progress {
  readonly kind: 'note' | 'status';
  readonly text: string;
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
  try {
    return (await findFit(options)) ?? (await getIntoCache(options));
  } catch (error) {
    throw toSetupError(error, options.signal);
  }
};

// A runsc that is there and runs; null when one must be built. CELLWALL_RUNSC is the user's word: when it does not hold, nothing takes its place.
const findFit = async ({ cacheDir, env, signal, report, uid = process.getuid!(), systemDirs }: SetupOptions): Promise<SetupResult | null> => {
  const named = Boolean(env['CELLWALL_RUNSC']);
  let found: FoundRunsc;
  try {
    found = findRunsc({ env, cacheDir, uid, ...(systemDirs && { systemDirs }) });
  } catch (error) {
    if (named || !(error instanceof SandboxError)) throw error;
    if (error.cause instanceof Error) report({ kind: 'note', text: `${error.message} (${error.cause.message})` });
    return null;
  }
  const checked = found.source === 'cache' ? ['its SHA-256 is the one recorded when it was built'] : [];
  const flaw = (found.source === 'cache' && (await whyChanged(found.path))) || (await whyUnfit(found.path, signal));
  if (!flaw) return { ...found, how: 'present', verified: [...checked, 'only root or you can change it', 'it runs'].join('; ') };
  if (named) {
    const hint = 'name another one by its absolute path, or unset CELLWALL_RUNSC';
    throw new SandboxError('RUNTIME_UNAVAILABLE', `the runsc that CELLWALL_RUNSC names cannot be used: ${flaw}`, { hint, cause: new Error(found.path) });
  }
  report({ kind: 'note', text: `${found.path} is not used: ${flaw}` });
  return null;
};

// Builds beside the final place and renames: whoever looks sees all of it or nothing.
const getIntoCache = async (options: SetupOptions): Promise<SetupResult> => {
  const { cacheDir, signal, report, uid = process.getuid!() } = options;
  const place = dirname(cachedRunsc(cacheDir));
  const store = dirname(place);
  await makeStore(cacheDir, store, uid);
  await using _lock = await lockStore(store, signal, report);
  const meanwhile = await findFit(options);
  if (meanwhile) return meanwhile;
  await removeLeftovers(store);
  const workshop = join(store, `${WORKSHOP_PREFIX}${randomBytes(6).toString('hex')}`);
  try {
    const { program, verified } = await buildRunsc({ ...options, workshop });
    const product = join(workshop, RUNSC_VERSION);
    await makePublic(product);
    await rename(program, join(product, basename(cachedRunsc(cacheDir))));
    await record(join(product, basename(cachedRunsc(cacheDir))));
    await rm(place, { recursive: true, force: true });
    await rename(product, place);
    return { ...findRunsc({ env: {}, cacheDir, uid }), how: 'built', verified };
  } finally {
    await remove(workshop);
  }
};

/** Directories of builds; what a killed setup left has the same beginning. */
const WORKSHOP_PREFIX = '.build-';

// Modes are given, not left to the umask: runsc must be readable for the ids that sandboxes have, and a directory that a group may write is refused.
const makeStore = async (cacheDir: string, store: string, uid: number): Promise<void> => {
  try {
    await mkdir(cacheDir, { recursive: true, mode: 0o755 });
    followTrusted(cacheDir, uid);
    await makePublic(store);
    followTrusted(store, uid);
  } catch (cause) {
    if (!(cause instanceof Untrusted)) throw cause;
    const hint = 'take the write permission away from others (`chmod go-w`), or name another directory with --cache-dir';
    throw new SandboxError('RUNTIME_UNAVAILABLE', `runsc cannot be kept in the cache directory: ${cause.reason.replace(/\bit\b/, 'the directory')}`, {
      hint,
      cause,
    });
  }
};

const makePublic = async (dir: string): Promise<void> => {
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o755);
};

/** `ms` between two tries for the lock. */
const LOCK_POLL_MS = 250;

// flock without blocking a thread: the wait can be aborted. The lock goes with its descriptor, so a killed setup does not hold it.
const lockStore = async (store: string, signal: AbortSignal, report: SetupOptions['report']): Promise<AsyncDisposable> => {
  const file = await open(join(store, '.lock'), 'a', 0o600);
  try {
    while (!tryLock(file.fd)) {
      report({ kind: 'status', text: 'waiting for another setup' });
      await delay(LOCK_POLL_MS, undefined, { signal });
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  return { [Symbol.asyncDispose]: () => file.close() };
};

const tryLock = (fd: number): boolean => {
  try {
    call('flock', fd, LOCK_EX | LOCK_NB);
    return true;
  } catch (error) {
    if (hasCode(error, 'EAGAIN', 'EWOULDBLOCK')) return false;
    throw error;
  }
};

const removeLeftovers = async (store: string): Promise<void> => {
  for (const name of await readdir(store)) if (name.startsWith(WORKSHOP_PREFIX)) await remove(join(store, name));
};

// A compiler that was killed may still be ending while its directory goes.
const remove = (dir: string): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 5 });

/** Writes `<file>.sha256` as sha256sum does. */
const record = async (file: string): Promise<void> => writeFile(`${file}.sha256`, `${await sha256(file)}  ${basename(file)}\n`, { mode: 0o644 });

// Null when the file has the SHA-256 that is recorded beside it.
const whyChanged = async (file: string): Promise<string | null> => {
  const recorded = await readFile(`${file}.sha256`, 'utf8').catch(() => null);
  if (recorded === null) return 'no SHA-256 is recorded beside it';
  return recorded.split(' ', 1)[0] === (await sha256(file)) ? null : 'its SHA-256 is not the one recorded when it was built';
};

const sha256 = async (file: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
};

const toSetupError = (error: unknown, signal: AbortSignal): unknown => {
  if (signal.aborted)
    return new SandboxError('CANCELED', 'setup was stopped: nothing was left half-made', { hint: 'run `cellwall setup` again', cause: error });
  if (error instanceof SandboxError) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new SandboxError('HOST_FULL', 'runsc was not made: the disk is full', { hint: 'free about 2 GB', cause: error });
  if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) {
    const hint = 'make the cache directory writable for you, or name another one with --cache-dir';
    return new SandboxError('RUNTIME_UNAVAILABLE', 'runsc was not made: the cache directory cannot be written', { hint, cause: error });
  }
  return error;
};
