/** Which runsc is run, with which flags, and what it writes down about a sandbox. */
import { lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { SandboxError } from '../../errors.ts';
import { log } from '../../log.ts';
import { hasCode } from '../../syscall/call.ts';
import { followTrusted, isExecutable, programsOnPath, Untrusted } from './trust.ts';

/** The version of the Go module that `cellwall setup` builds; the cache is asked for this one only. */
export const RUNSC_VERSION = 'v0.0.0-20260905035102-160fafc42237';

/** Where `cellwall setup` puts runsc. */
export const cachedRunsc = (cacheDir: string): string => join(cacheDir, 'runsc', RUNSC_VERSION, 'runsc');

export interface FoundRunsc {
  /** real path: no link is left in it */
  readonly path: string;
  /** `CELLWALL_RUNSC`, `cache`, one of the system's directories, or `PATH` */
  readonly source: string;
}

export interface FindOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cacheDir: string;
  /** whose files count as ours */
  readonly uid: number;
  /** looked into before `PATH` */
  readonly systemDirs?: readonly string[];
}

const SYSTEM_DIRS = ['/usr/local/bin', '/usr/bin'];

/**
 * The first runsc of: `CELLWALL_RUNSC`, the cache, `/usr/local/bin`, `/usr/bin`, and, unless we are root, the absolute directories of `PATH`.
 * It and all above it must be root's or ours and writable by nobody else. One that is not is refused with the reason, except in `PATH`, where it is
 * passed over with a warning. Throws RUNTIME_UNAVAILABLE without a path in its message: the path is in `cause`; a runsc that is missing has no cause.
 *
 * Preconditions: called in the user's own namespace, before the server closes itself off: behind that step root's files look like nobody's and all is refused.
 */
export const findRunsc = ({ env, cacheDir, uid, systemDirs = SYSTEM_DIRS }: FindOptions): FoundRunsc => {
  const named = env['CELLWALL_RUNSC'];
  if (named) return refusing('CELLWALL_RUNSC', named, uid);
  const places = [{ source: 'cache', path: cachedRunsc(cacheDir) }, ...systemDirs.map((dir) => ({ source: dir, path: join(dir, 'runsc') }))];
  const place = places.find(({ path }) => exists(path));
  if (place) return refusing(place.source, place.path, uid);
  const onPath = uid === 0 ? undefined : findOnPath(env['PATH'] ?? '', uid);
  if (onPath) return { path: onPath, source: 'PATH' };
  throw new SandboxError('RUNTIME_UNAVAILABLE', 'gVisor is not there: no runsc was found');
};

/** How a refusal names the runsc, and what to do about it. No path of the host is in it. */
const REFUSALS = {
  CELLWALL_RUNSC: ['the runsc that CELLWALL_RUNSC names', 'name another one by its absolute path, or unset CELLWALL_RUNSC; the log of the server has the path'],
  cache: ['the runsc in the cache', 'the log of the server names what is wrong: mend its owner or mode, then run `cellwall setup`'],
  system: ['the runsc that is installed on this machine', 'run `cellwall setup`, which makes one that is used before it; or mend owner or mode'],
} as const;

const refusing = (source: string, path: string, uid: number): FoundRunsc => {
  try {
    return { path: trustedProgram(path, uid), source };
  } catch (error) {
    if (!(error instanceof Untrusted)) throw error;
    const [subject, hint] = REFUSALS[source === 'CELLWALL_RUNSC' || source === 'cache' ? source : 'system'];
    throw new SandboxError('RUNTIME_UNAVAILABLE', `${subject} is not used: ${error.reason}`, { hint, cause: error });
  }
};

const trustedProgram = (path: string, uid: number): string => {
  const { path: real, stat } = followTrusted(path, uid);
  if (!stat.isFile()) throw new Untrusted('it is no regular file', `${real} is no regular file`);
  if (!isExecutable(real)) throw new Untrusted('it is not executable', `${real} is not executable`);
  return real;
};

const findOnPath = (path: string, uid: number): string | undefined => {
  for (const candidate of programsOnPath('runsc', path)) {
    try {
      return trustedProgram(candidate, uid);
    } catch (error) {
      if (!(error instanceof Untrusted)) throw error;
      log.warn({ path: candidate, reason: error.message }, 'a runsc in PATH is passed over');
    }
  }
  return undefined;
};

// Whether there is anything at all, be it out of reach: what cannot be looked at is refused later, not passed over.
const exists = (path: string): boolean => {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return !hasCode(error, 'ENOTDIR');
  }
};

export interface FlagOptions {
  /** directory of the state files, 0700: who can connect to the sockets in it owns the sandboxes */
  readonly root: string;
  readonly platform: string;
  readonly network: 'none' | 'sandbox';
  /** directory for runsc's own logs */
  readonly debugLog?: string;
}

/** The flags of every call of runsc, before its subcommand. Same input, same order. */
export const runscFlags = ({ root, platform, network, debugLog }: FlagOptions): readonly string[] => [
  `--root=${root}`,
  `--platform=${platform}`,
  `--network=${network}`,
  '--ignore-cgroups', // limits are the launch path's
  '--host-settings=ignore', // advice about the host only costs time
  '--overlay2=none', // what the sandbox writes is on the host's mounts, where it is limited and read
  '--file-access=shared', // the host writes into the tree too
  '--oci-seccomp', // without it the spec's seccomp is ignored, and anyone inside may make namespaces
  ...(debugLog === undefined ? [] : ['--debug', `--debug-log=${debugLog}/`]),
];

/** What cellwall needs of `<root>/<id>_sandbox:<id>.state`. gVisor writes pid 0 for a process that has ended. */
const StateFile = z.object({
  goferPid: z.int().nonnegative(),
  sandbox: z.object({ pid: z.int().positive(), controlSocketPath: z.string().min(1) }),
});

export interface RunscState {
  readonly sandboxPid: number;
  /** null when the gofer has ended */
  readonly goferPid: number | null;
  /** path of the control socket; may be longer than an address holds */
  readonly controlSocket: string;
}

/** Reads runsc's record of a sandbox. Throws RUNTIME_FAILED when there is none or it names no running sandbox. */
export const readState = async (rootDir: string, id: string): Promise<RunscState> => {
  try {
    const { goferPid, sandbox } = StateFile.parse(JSON.parse(await readFile(join(rootDir, `${id}_sandbox:${id}.state`), 'utf8')));
    return { sandboxPid: sandbox.pid, goferPid: goferPid === 0 ? null : goferPid, controlSocket: sandbox.controlSocketPath };
  } catch (cause) {
    throw new SandboxError('RUNTIME_FAILED', "runsc's record of the sandbox cannot be used: it is missing, malformed or of a sandbox that has ended", {
      cause,
    });
  }
};
