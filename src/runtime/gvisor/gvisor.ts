/** The gVisor runtime: runsc creates a sandbox, its control socket runs programs in it, a pidfd ends it. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findGroups } from '../../cgroup/select.ts';
import { SandboxError } from '../../errors.ts';
import { unmount } from '../../syscall/mounts.ts';
import { becomeSubreaper } from '../../syscall/process.ts';
import type { Bundle, Io, ProcessSpec, Running, Runtime, SandboxId, Usage, RuntimeOptions } from '../runtime.ts';
import { createSandbox, type Sandbox } from './sandbox.ts';
import { backgroundOf, executeIn, type Channel } from './execution.ts';
import { checkControl } from './selftest.ts';

/** A runtime over the runsc that was found. One a server: its `--root` directory is shared by all its sandboxes. */
export const createGvisor = ({ directory, runsc, cacheDir }: RuntimeOptions): Runtime => {
  const found = findGroups();
  const groups = 'unavailable' in found ? null : found;
  const root = join(directory, 'runsc');
  const sandboxes = new Map<SandboxId, Sandbox>();
  let channel: Promise<Channel> | undefined;
  mkdirSync(root, { recursive: true, mode: 0o700 });
  becomeSubreaper(); // what runsc leaves behind becomes ours to reap

  const runscPath = (): string => {
    if ('error' in runsc) throw runsc.error;
    return runsc.path;
  };
  const find = (id: SandboxId): Sandbox => {
    const sandbox = sandboxes.get(id);
    if (!sandbox) throw new SandboxError('SANDBOX_FAILED', 'the sandbox is gone');
    return sandbox;
  };

  return {
    name: 'gvisor',
    weaknesses: 'unavailable' in found ? [`memory_mb is watched, not capped, and cpus is not enforced: ${found.unavailable}`] : [],
    probe: async () => void runscPath(),

    create: async (id: SandboxId, bundle: Bundle, signal: AbortSignal) => {
      const sandbox = await createSandbox({ id, bundle, runsc: runscPath(), root, directory, groups, signal });
      sandboxes.set(id, sandbox);
      try {
        channel ??= checkControl(sandbox, { runsc: runscPath(), cacheDir });
        await channel;
      } catch (error) {
        channel = undefined;
        sandboxes.delete(id);
        await sandbox.destroy();
        throw error;
      }
    },

    exec: async (id: SandboxId, process: ProcessSpec, io: Io): Promise<Running> => executeIn(find(id), process, io, (await channel) ?? 'socket'),
    ended: (id: SandboxId) => find(id).ended,
    usage: async (id: SandboxId): Promise<Usage> => ({ ...find(id).usage(), pids: await find(id).control.countProcesses() }),

    background: async (id: SandboxId) => backgroundOf(find(id), (await channel) ?? 'socket'),

    destroy: async (id: SandboxId) => {
      const sandbox = sandboxes.get(id);
      sandboxes.delete(id);
      await sandbox?.destroy();
    },

    // runsc keeps a network namespace mounted here for all its sandboxes.
    close: async () => {
      await unmount(join(root, 'null-netns'));
      rmSync(root, { recursive: true, force: true });
    },
  };
};
