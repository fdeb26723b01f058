/** One sandbox: from a spec to two processes of the host and a socket, and from there to nothing. */
import { chmodSync, closeSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Groups } from '../../cgroup/group.ts';
import { SandboxError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { Spec } from '../../oci/spec.ts';
import { createPipe } from '../../syscall/pipe.ts';
import { openProcess, waitForEnd, type Child } from '../../syscall/process.ts';
import { INIT_NAME, type Bundle, type Ending, type SandboxId, type Usage } from '../runtime.ts';
import { lastLines, runRunsc } from './cli.ts';
import { Control } from './control.ts';
import { CGROUP_MOUNT } from './gate.ts';
import { initProgram } from './init.ts';
import { inTime } from './deadline.ts';
import { prepareLimits, type Limits } from './limits.ts';
import { readState, runscFlags } from './runsc.ts';
import { endProcesses, strayProcesses } from './strays.ts';

export interface SandboxOptions {
  readonly id: SandboxId;
  readonly bundle: Bundle;
  /** path of runsc */
  readonly runsc: string;
  /** runsc's `--root` */
  readonly root: string;
  /** where bundles and logs lie */
  readonly directory: string;
  /** null where the host has none for us */
  readonly groups: Groups | null;
  readonly signal: AbortSignal;
}

export interface Sandbox {
  readonly id: SandboxId;
  readonly runsc: string;
  /** flags of every call of runsc for this sandbox */
  readonly flags: readonly string[];
  readonly logFile: string;
  readonly control: Control;
  readonly programs: Bundle['programs'];
  /** names of cgroups inside whose execs have ended; the oldest first */
  readonly staleGroups: Set<string>;
  usage(): Pick<Usage, 'memoryMb' | 'cpuMs'>;
  /** resolves with the reason when it has ended */
  readonly ended: Promise<Ending>;
  destroy(): Promise<void>;
}

/** What runsc may take for `create`; it takes a tenth of a second when all is well. */
const CREATE_DEADLINE_MS = 15_000;
const START_DEADLINE_MS = 15_000;

/** Creates and starts a sandbox. Throws RUNTIME_FAILED or CANCELED; then no process and no file of it is left. */
export const createSandbox = async (options: SandboxOptions): Promise<Sandbox> => {
  const { id, bundle, runsc, root, directory, groups, signal } = options;
  const bundleDir = join(directory, `${id}.bundle`);
  const logFile = join(directory, `${id}.log`);
  const flags = [...runscFlags({ root, platform: bundle.platform, network: 'none' }), '--in-sandbox-cgroup=v2'];
  const limits = prepareLimits(id, bundle, groups, directory);
  const pipe = createPipe();
  let processes: readonly Child[] = [];
  let control: Control | null = null;
  let isDestroyed = false;

  const destroy = async (): Promise<void> => {
    isDestroyed = true;
    control?.close();
    closeSync(pipe.write);
    await endProcesses(processes.length > 0 ? processes : strayProcesses(root, id));
    await limits.remove();
    for (const name of readdirSync(root)) if (name.includes(id)) rmSync(join(root, name), { force: true });
    for (const path of [bundleDir, logFile]) rmSync(path, { recursive: true, force: true });
  };

  try {
    mkdirSync(bundleDir, { mode: 0o700 });
    writeFileSync(join(bundleDir, 'config.json'), JSON.stringify(withCgroup(bundle.spec)), { mode: 0o600 });
    writeFileSync(join(bundle.programs.host, INIT_NAME), initProgram());
    chmodSync(join(bundle.programs.host, INIT_NAME), 0o555);
    await runRunsc({
      path: runsc,
      args: [...flags, 'create', '--bundle', bundleDir, id],
      logFile,
      stdin: pipe.read,
      steps: limits.steps,
      deadlineMs: CREATE_DEADLINE_MS,
      signal,
    });
    const { sandboxPid, goferPid, controlSocket } = await readState(root, id);
    processes = [sandboxPid, ...(goferPid === null ? [] : [goferPid])].map(openProcess);
    const sentry = processes[0]!;
    control = new Control(controlSocket, id);
    await inTime(control.start(), START_DEADLINE_MS, signal);
    limits.watch(sentry);
    const ended = control.untilEnded().then(() => (isDestroyed ? DESTROYED : endingOf(sentry, limits, logFile)));
    ended.catch(() => undefined);
    return {
      id,
      runsc,
      flags,
      logFile,
      control,
      programs: bundle.programs,
      staleGroups: new Set(),
      usage: limits.usage,
      ended,
      destroy: once(destroy),
    };
  } catch (error) {
    const said = lastLines(logFile);
    await destroy();
    if (error instanceof SandboxError) throw error;
    log.error({ err: error, runsc: said }, 'a sandbox could not be started');
    throw new SandboxError('RUNTIME_FAILED', 'gVisor could not start the sandbox', { cause: error });
  } finally {
    closeSync(pipe.read);
  }
};

// The kernel inside keeps the groups of execs apart (gate.ts). Mounted by the spec, because nobody inside may mount anything.
const withCgroup = (spec: Spec): Spec => ({
  ...spec,
  mounts: [...spec.mounts, { destination: CGROUP_MOUNT, type: 'cgroup', source: 'cgroup', options: ['nosuid', 'nodev', 'noexec'] }],
});

const DESTROYED: Ending = { reason: 'it was destroyed', outOfMemory: false };

const endingOf = async (sentry: Child, limits: Limits, logFile: string): Promise<Ending> => {
  const isKernelGone = await waitForEnd(sentry, 1000);
  const ending = limits.ending() ?? { reason: isKernelGone ? 'its kernel has ended' : 'its first process has ended', outOfMemory: false };
  log.warn({ ...ending, runsc: lastLines(logFile) }, 'a sandbox has ended');
  return ending;
};

const once = (action: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined;
  return () => (done ??= action());
};
