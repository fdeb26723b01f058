/** The lease on one sandbox: what its principal may do with it, and until when. */
import { closeSync, statfsSync } from 'node:fs';
import { SandboxError } from '../errors.ts';
import { SandboxGone, type Ending, type Usage } from '../runtime/runtime.ts';
import { O_DIRECTORY, O_PATH } from '../syscall/constants.ts';
import { openInRoot, pathOf, type Fd } from '../syscall/files.ts';
import type { ApplyInput, ApplyResult, Ask } from '../workspace/apply/apply.ts';
import { diffWorkspace, type DiffInput, type DiffResult } from '../workspace/diff/diff.ts';
import { readPath, type ReadInput, type ReadResult } from '../workspace/files/files.ts';
import { searchPath, type SearchInput, type SearchResult } from '../workspace/search/search.ts';
import { writePath, type WriteInput, type WriteResult } from '../workspace/files/write.ts';
import { WORKSPACE } from '../workspace/paths.ts';
import type { Attachment, AttachInput } from './attachment.ts';
import { Commands, type CommandsOptions } from './commands.ts';
import { newUndoId } from './ids.ts';
import type { Take } from './output.ts';
import type { Created, ExecInput, ExecResult, Listing, WaitInput } from './requests.ts';

export interface SessionOptions extends Omit<CommandsOptions, 'sandboxEnd'> {
  readonly sandboxId: string;
  readonly label: string | null;
  /** path of the context on the host; null: an empty workspace */
  readonly contextPath: string | null;
  /** tells the context's directory from others */
  readonly contextIdentity: string | null;
  /** where what is needed to take applies back is kept */
  readonly undoDirectory: string;
  readonly warnings: readonly string[];
  /** called once when the lifetime or the idle time is over */
  readonly onExpired: () => void;
}

const MIB = 1024 * 1024;

export class Session {
  readonly #options: SessionOptions;
  readonly #commands: Commands;
  readonly #createdAt: number;
  readonly #ended: Promise<Ending>;
  /** calls under way, which destroy waits for */
  readonly #calls = new Set<Promise<unknown>>();
  /** aborted by destroy: ends what works on the files for a long time */
  readonly #over = new AbortController();
  readonly #cancelTtl: () => void;
  #cancelIdle: () => void = () => {};
  #ending: Ending | null = null;

  constructor(options: SessionOptions) {
    const { clock, policy, runtime, key, onExpired } = options;
    this.#options = options;
    this.#createdAt = clock.now();
    this.#ended = runtime.ended(key);
    void this.#ended.then((ending) => (this.#ending = ending));
    this.#commands = new Commands({ ...options, sandboxEnd: this.#ended });
    this.#cancelTtl = clock.after(policy.lifetime.ttl_s * 1000, onExpired);
    this.#rest();
  }

  /** What sandbox_create tells of it. */
  get created(): Created {
    const { sandboxId, policy, assembly, runtime, warnings } = this.#options;
    const { memory_mb, cpus, pids, disk_mb } = policy.limits;
    const { copy } = assembly;
    return {
      sandbox_id: sandboxId,
      policy: policy.name,
      runtime: policy.runtime.name,
      network: policy.network.mode,
      workspace: WORKSPACE,
      context: copy && {
        files: copy.files,
        bytes: copy.bytes,
        digest: copy.digest,
        skipped: copy.skipped.map((one) => ({ ...one })),
        skipped_count: copy.skippedCount,
      },
      limits: { memory_mb, cpus, pids, disk_mb },
      expires_at: this.#expiresAt,
      warnings: [...warnings, ...runtime.weaknesses, ...assembly.warnings, ...(copy?.warnings ?? [])],
    };
  }

  /** What sandbox_list tells of it. */
  async entry(): Promise<Listing['sandboxes'][number]> {
    const { sandboxId, label, policy } = this.#options;
    const { memoryMb, pids, cpuMs } = await this.#usage();
    return {
      sandbox_id: sandboxId,
      label,
      policy: policy.name,
      runtime: policy.runtime.name,
      state: this.#ending === null ? 'running' : 'failed',
      created_at: new Date(this.#createdAt).toISOString(),
      expires_at: this.#expiresAt,
      running: await this.#running(),
      usage: { memory_mb: memoryMb, pids, disk_mb: this.#diskUsed(), cpu_ms: cpuMs },
    };
  }

  /** Runs a command. Throws EXEC_FAILED when it cannot be started, LIMIT_EXCEEDED, SANDBOX_FAILED. */
  exec(input: ExecInput, signal: AbortSignal, take?: Take): Promise<ExecResult> {
    return this.#call(() => this.#commands.exec(input, signal, take));
  }

  /** Waits for a command that runs, and gives it input or signals. Throws EXEC_NOT_FOUND, SANDBOX_FAILED. */
  wait(input: WaitInput, signal: AbortSignal, take?: Take): Promise<ExecResult> {
    return this.#call(() => this.#commands.wait(input, signal, take));
  }

  /** Runs a command to its end on the caller's own streams; `wait` reaches it meanwhile. Throws what exec throws, and what its streams do. */
  attach(input: AttachInput, attachment: Attachment, signal: AbortSignal): Promise<ExecResult> {
    return this.#call(() => this.#commands.attach(input, attachment, signal));
  }

  /** Reads a file or directory as a program inside would find it. Throws PATH_NOT_FOUND, PATH_REFUSED, NOT_TEXT. */
  read(input: ReadInput, signal: AbortSignal): Promise<ReadResult> {
    const { assembly, contextPath } = this.#options;
    return this.#call(() => readPath(assembly.root.door, input, { contextPath, inside: (argv) => this.#commands.look(argv, signal), signal }));
  }

  /** Searches files by contents and names. Throws INVALID_PARAMS for a pattern that is none, PATH_NOT_FOUND, PATH_REFUSED, TIMED_OUT. */
  search(input: SearchInput, signal: AbortSignal): Promise<SearchResult> {
    const { assembly, contextPath } = this.#options;
    return this.#callUntilOver(signal, (either) => searchPath(assembly.root.door, input, { contextPath, signal: either }));
  }

  /** Writes or edits a file. Throws PATH_REFUSED, EDIT_MISMATCH, WRITE_CONFLICT, DISK_FULL and what else writePath names. */
  write(input: WriteInput): Promise<WriteResult> {
    const { assembly, contextPath } = this.#options;
    return this.#call(async () => writePath(assembly.root.tree, input, { contextPath, owner: assembly.root.agent }));
  }

  /** Tells what has changed in /workspace. Throws PATH_REFUSED, LIMIT_EXCEEDED, TIMED_OUT. */
  diff(input: DiffInput, signal: AbortSignal): Promise<DiffResult> {
    const { assembly, contextPath } = this.#options;
    return this.#compare(signal, (view, either) => diffWorkspace(view, assembly.root.workspace, input, { contextPath, signal: either }));
  }

  /** Writes changes into the context, when a person agrees. Throws APPLY_REFUSED, APPLY_CONFLICT and what else applyWorkspace names. */
  apply(input: ApplyInput, ask: Ask | undefined, signal: AbortSignal): Promise<ApplyResult> {
    const { assembly, sandboxId, contextPath: path, contextIdentity: identity, undoDirectory } = this.#options;
    if (path === null || identity === null)
      throw new SandboxError('APPLY_REFUSED', 'nothing was written: the sandbox has no context', { hint: 'read the files with sandbox_read' });
    const options = { context: { path, identity }, undoDirectory, id: newUndoId(), ask, command: `cellwall apply ${sandboxId}` };
    return this.#compare(signal, async (view, either) => {
      const { applyWorkspace } = await import('../workspace/apply/apply.ts'); // loaded when it is needed, which it rarely is
      return applyWorkspace(view, assembly.root.workspace, input, { ...options, signal: either });
    });
  }

  // With the workspace as a program inside sees it.
  #compare<T>(signal: AbortSignal, action: (view: Fd, either: AbortSignal) => Promise<T>): Promise<T> {
    return this.#callUntilOver(signal, async (either) => {
      const view = openInRoot(this.#options.assembly.root.door, WORKSPACE, O_PATH | O_DIRECTORY);
      try {
        return await action(view, either);
      } finally {
        closeSync(view);
      }
    });
  }

  /** Ends the sandbox and removes everything of it. Its running commands are told as canceled. */
  async destroy(): Promise<void> {
    this.#over.abort();
    this.#cancelTtl();
    this.#cancelIdle();
    this.#commands.abandon();
    await Promise.all([this.#options.runtime.destroy(this.#options.key), this.#options.assembly.root.detach()]);
    await Promise.allSettled(this.#calls);
    await this.#options.assembly.dispose();
  }

  // Every call starts the idle time anew, and ends with an error of the contract when the sandbox is gone.
  async #call<T>(action: () => Promise<T>): Promise<T> {
    if (this.#ending !== null || this.#isDestroyed) throw this.#gone();
    this.#cancelIdle();
    const call = action();
    this.#calls.add(call);
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof SandboxGone)) throw error;
      await this.#ended;
      throw this.#gone();
    } finally {
      this.#calls.delete(call);
      this.#rest();
    }
  }

  // What takes long ends, by either signal, when the sandbox is destroyed, and then says so.
  #callUntilOver<T>(signal: AbortSignal, action: (either: AbortSignal) => Promise<T>): Promise<T> {
    return this.#call(async () => {
      try {
        return await action(AbortSignal.any([signal, this.#over.signal]));
      } catch (error) {
        throw this.#isDestroyed ? this.#gone() : error;
      }
    });
  }

  get #isDestroyed(): boolean {
    return this.#over.signal.aborted;
  }

  #gone(): SandboxError {
    if (this.#isDestroyed) return new SandboxError('SANDBOX_NOT_FOUND', 'the sandbox was destroyed');
    return new SandboxError('SANDBOX_FAILED', `the sandbox has ended: ${this.#ending?.reason ?? 'it does not answer'}`);
  }

  // The idle time runs while nobody calls and no command runs.
  #rest(): void {
    this.#cancelIdle();
    if (this.#isDestroyed || this.#calls.size > 0) return;
    const { clock, policy, onExpired } = this.#options;
    const running = this.#commands.running;
    if (running.length > 0) void Promise.allSettled(running.map((exec) => exec.ended)).then(() => this.#rest());
    else this.#cancelIdle = clock.after(policy.lifetime.idle_s * 1000, onExpired);
  }

  get #expiresAt(): string {
    return new Date(this.#createdAt + this.#options.policy.lifetime.ttl_s * 1000).toISOString();
  }

  // A command that has ended but left something in the background counts as well.
  async #running(): Promise<string[]> {
    const { runtime, key } = this.#options;
    const left = this.#ending === null && !this.#isDestroyed ? await runtime.background(key).catch(() => []) : [];
    return [...new Set([...this.#commands.running.map(({ id }) => id), ...left])];
  }

  async #usage(): Promise<Usage> {
    const unknown = { memoryMb: null, pids: null, cpuMs: null };
    if (this.#ending !== null || this.#isDestroyed) return unknown;
    const { runtime, key } = this.#options;
    return runtime.usage(key).catch(() => unknown); // it may end meanwhile
  }

  #diskUsed(): number | null {
    try {
      const { blocks, bfree, bsize } = statfsSync(`${pathOf(this.#options.assembly.root.door)}${WORKSPACE}`);
      return Math.round(((blocks - bfree) * bsize) / MIB);
    } catch {
      return null;
    }
  }
}
