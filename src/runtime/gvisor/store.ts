/** The part of the cache that holds runsc: who may write it, one maker at a time, all of a version or nothing. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SandboxError } from '../../errors.ts';
import { takeLock } from '../../syscall/lock.ts';
import type { Report } from './go.ts';
import { cachedRunsc } from './runsc.ts';
import { followTrusted, Untrusted } from './trust.ts';

interface StoreOptions {
  readonly cacheDir: string;
  readonly uid: number;
  readonly signal: AbortSignal;
  readonly report: Report;
}

interface Store {
  /** Has `build` make a runsc in a directory of its own and puts it into its place; returns what `build` says was verified. */
  make(build: (workshop: string) => Promise<{ program: string; verified: string }>): Promise<string>;
}

/**
 * Runs `use` while nobody else makes a runsc in this cache; others wait, until their `signal`. The lock goes with its descriptor: a killed setup holds none.
 * Throws RUNTIME_UNAVAILABLE when somebody else could change what lies in the cache, else what node:fs throws.
 */
export const inStore = async <T>({ cacheDir, uid, signal, report }: StoreOptions, use: (store: Store) => Promise<T>): Promise<T> => {
  const place = dirname(cachedRunsc(cacheDir));
  const root = dirname(place);
  await makeRoot(cacheDir, root, uid);
  const lock = await open(join(root, '.lock'), 'a', 0o600);
  try {
    for (; !takeLock(lock.fd); await delay(LOCK_POLL_MS, undefined, { signal })) report({ kind: 'status', text: 'waiting for another setup' });
    return await use({ make: (build) => make(root, place, build) });
  } finally {
    await lock.close();
  }
};

/** `ms` between two tries for the lock: flock would block a thread, and could not be aborted. */
const LOCK_POLL_MS = 250;

// Modes are given, not left to the umask: runsc must be readable for the ids that sandboxes have, and a directory that a group may write is refused.
const makeRoot = async (cacheDir: string, root: string, uid: number): Promise<void> => {
  try {
    await mkdir(cacheDir, { recursive: true, mode: 0o755 });
    followTrusted(cacheDir, uid);
    await makePublic(root);
    followTrusted(root, uid);
  } catch (cause) {
    if (!(cause instanceof Untrusted)) throw cause;
    const hint = 'take the write permission away from others (`chmod go-w`), or name another directory with --cache-dir';
    throw new SandboxError('RUNTIME_UNAVAILABLE', `a runsc in the cache directory would not be used: ${cause.reason}`, { hint, cause });
  }
};

const makePublic = async (dir: string): Promise<void> => {
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o755);
};

/** What the name of a build's directory begins with; what a killed setup left is known by it. */
const WORKSHOP_PREFIX = '.build-';

// Made beside its place and renamed: whoever looks sees a runsc with its checksum, or nothing.
const make: (root: string, place: string, build: Parameters<Store['make']>[0]) => Promise<string> = async (root, place, build) => {
  for (const name of await readdir(root)) if (name.startsWith(WORKSHOP_PREFIX)) await remove(join(root, name));
  const workshop = join(root, `${WORKSHOP_PREFIX}${randomBytes(6).toString('hex')}`);
  try {
    const { program, verified } = await build(workshop);
    const product = join(workshop, basename(place));
    await makePublic(product);
    await rename(program, join(product, 'runsc'));
    await writeFile(join(product, 'runsc.sha256'), `${await sha256(join(product, 'runsc'))}  runsc\n`, { mode: 0o644 });
    await remove(place);
    await rename(product, place);
    return verified;
  } finally {
    await remove(workshop);
  }
};

// A compiler that was killed may still be ending while its directory goes.
const remove = (dir: string): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 5 });

/** Null when a file has the SHA-256 that is recorded beside it, in the form of sha256sum; else what is wrong, in words. */
export const whyChanged = async (file: string): Promise<string | null> => {
  const recorded = await readFile(`${file}.sha256`, 'utf8').catch(() => null);
  if (recorded === null) return 'no SHA-256 is recorded beside it';
  return recorded.split(' ', 1)[0] === (await sha256(file)) ? null : 'its SHA-256 is not the one recorded when it was built';
};

const sha256 = async (file: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
};
