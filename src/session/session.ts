/** The lease on one sandbox: what its principal may do with it, and until when. */
import { existsSync, statfsSync } from 'node:fs';
import { SandboxError } from '../errors.ts';
import { programEnvironment } from '../oci/process.ts';
import type { Policy } from '../policy/profile.ts';
import { SandboxGone, type Ending, type Runtime, type Usage } from '../runtime/runtime.ts';
import { pathOf } from '../syscall/files.ts';
import { readPath, type ReadInput, type ReadResult } from '../workspace/files.ts';
import type { Assembly } from './assembly.ts';
import type { Clock } from './clock.ts';
import { Exec } from './exec.ts';
import { newExecId } from './ids.ts';
import type { Outputs } from './output.ts';
import type { Created, ExecInput, ExecResult, Listing } from './requests.ts';

export interface SessionOptions {
  readonly sandboxId: string;
  readonly key: string;
  readonly policy: Policy;
  readonly env: Readonly<Record<string, string>>;
  readonly label: string | null;
  /** path of the context on the host; null: an empty workspace */
  readonly contextPath: string | null;
  readonly warnings: readonly string[];
  readonly assembly: Assembly;
  readonly runtime: Runtime;
  readonly outputs: Outputs;
  readonly clock: Clock;
  /** called once when the lifetime or the idle time is over */
  readonly onExpired: () => void;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const DEFAULT_OUTPUT_BYTES = 8_000;
/** Most that a result holds of the output: the rest is in the files. */
const MOST_OUTPUT_BYTES = 1_000_000;
export const WORKSPACE = '/workspace';
/** What a look inside may take. */
const INSIDE_TIMEOUT_MS = 10_000;
const MIB = 1024 * 1024;

export class Session {
  readonly #options: SessionOptions;
  readonly #createdAt: number;
  readonly #ended: Promise<void>;
  readonly #execs = new Map<string, Exec>();
  #state: 'running' | 'failed' | 'destroyed' = 'running';
  #ending: Ending | null = null;
  readonly #cancelTtl: () => void;
  #cancelIdle: () => void = () => {};

  constructor(options: SessionOptions) {
    const { clock, policy, runtime, key, onExpired } = options;
    this.#options = options;
    this.#createdAt = clock.now();
    this.#cancelTtl = clock.after(policy.lifetime.ttl_s * 1000, onExpired);
    this.#touch();
    this.#ended = runtime.ended(key).then((ending) => this.#fail(ending));
  }

  get expiresAt(): string {
    return new Date(this.#createdAt + this.#options.policy.lifetime.ttl_s * 1000).toISOString();
  }

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
      expires_at: this.expiresAt,
      warnings: [...warnings, ...runtime.weaknesses, ...(copy?.warnings ?? [])],
    };
  }

  /** Runs a command to its end. Throws EXEC_FAILED when it cannot be started, LIMIT_EXCEEDED, SANDBOX_FAILED. */
  async exec(input: ExecInput, signal: AbortSignal): Promise<ExecResult> {
    this.#demandRunning();
    const { timeout_ms: timeoutMs = DEFAULT_TIMEOUT_MS, max_output_bytes: maxBytes = DEFAULT_OUTPUT_BYTES } = input;
    const most = this.#options.policy.lifetime.exec_timeout_ms;
    if (timeoutMs > most)
      throw new SandboxError('LIMIT_EXCEEDED', `timeout_ms ${timeoutMs} exceeds what policy "${this.#options.policy.name}" allows: ${most}`);
    signal.throwIfAborted();
    this.#cancelIdle();
    try {
      const exec = await this.#start(input, timeoutMs);
      return await this.#untilEnd(exec, Math.min(maxBytes, MOST_OUTPUT_BYTES), signal);
    } catch (error) {
      if (!(error instanceof SandboxGone)) throw error;
      await this.#ended;
      throw this.#gone();
    } finally {
      this.#touch();
    }
  }

  /** Reads a file or directory as a program inside would find it. Throws PATH_NOT_FOUND, PATH_REFUSED, NOT_TEXT. */
  async read(input: ReadInput, signal: AbortSignal): Promise<ReadResult> {
    this.#demandRunning();
    this.#touch();
    const { assembly, contextPath } = this.#options;
    return readPath(assembly.root.door, input, { contextPath, inside: (argv) => this.#runInside(argv, signal), signal });
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
      state: this.#state === 'running' ? 'running' : 'failed',
      created_at: new Date(this.#createdAt).toISOString(),
      expires_at: this.expiresAt,
      running: [...this.#execs.values()].filter((exec) => exec.isRunning).map(({ id }) => id),
      usage: { memory_mb: memoryMb, pids, disk_mb: this.#diskUsed(), cpu_ms: cpuMs },
    };
  }

  /** Ends the sandbox and removes everything of it. Its running commands are told as canceled. */
  async destroy(): Promise<void> {
    this.#state = 'destroyed';
    for (const exec of this.#execs.values()) exec.abandon('canceled');
    this.#cancelTtl();
    this.#cancelIdle();
    await this.#options.assembly.dispose();
  }

  async #start({ command, argv, cwd = WORKSPACE, env, stdin }: ExecInput, timeoutMs: number): Promise<Exec> {
    const { policy, env: own, assembly, runtime, key, outputs, clock } = this.#options;
    const process = {
      id: newExecId(),
      argv: argv ?? [this.#shell(), '-c', command ?? ''],
      env: programEnvironment(policy, { ...own, ...env }),
      cwd: cwd.startsWith('/') ? cwd : `${WORKSPACE}/${cwd}`,
    };
    const exec = await Exec.start({
      process,
      stdin: stdin ?? null,
      timeoutMs,
      runDirectory: assembly.runDirectory,
      outputs,
      clock,
      start: (spec, io) => runtime.exec(key, spec, io),
    });
    this.#execs.set(exec.id, exec);
    return exec;
  }

  async #untilEnd(exec: Exec, maxBytes: number, signal: AbortSignal): Promise<ExecResult> {
    const cancel = (): void => void exec.kill('canceled');
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      await exec.ended;
      return await exec.result(maxBytes);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  #shell(): string {
    return existsSync(`${pathOf(this.#options.assembly.root.door)}/usr/bin/bash`) ? '/bin/bash' : '/bin/sh';
  }

  // What only the sandbox sees, looked at by a program inside.
  async #runInside(argv: readonly string[], signal: AbortSignal): Promise<{ code: number | null; stdout: Buffer }> {
    const exec = await this.#start({ argv: [...argv] }, INSIDE_TIMEOUT_MS);
    const { exit_code: code, stdout } = await this.#untilEnd(exec, MOST_OUTPUT_BYTES, signal);
    this.#execs.delete(exec.id);
    return { code, stdout: Buffer.from(stdout) };
  }

  #demandRunning(): void {
    if (this.#state !== 'running') throw this.#gone();
  }

  #gone(): SandboxError {
    if (this.#state === 'destroyed') return new SandboxError('SANDBOX_NOT_FOUND', 'the sandbox was destroyed');
    return new SandboxError('SANDBOX_FAILED', `the sandbox has ended: ${this.#ending?.reason ?? 'it does not answer'}`);
  }

  #fail(ending: Ending): void {
    if (this.#state !== 'running') return;
    this.#state = 'failed';
    this.#ending = ending;
  }

  // Any call starts the idle time anew; it does not run while a command runs.
  #touch(): void {
    this.#cancelIdle();
    if (this.#state !== 'running' || [...this.#execs.values()].some((exec) => exec.isRunning)) return;
    const { clock, policy, onExpired } = this.#options;
    this.#cancelIdle = clock.after(policy.lifetime.idle_s * 1000, onExpired);
  }

  async #usage(): Promise<Usage> {
    const unknown = { memoryMb: null, pids: null, cpuMs: null };
    if (this.#state !== 'running') return unknown;
    const { runtime, key } = this.#options;
    return runtime.usage(key).catch(() => unknown); // it may end meanwhile
  }

  #diskUsed(): number | null {
    try {
      const { blocks, bfree, bsize } = statfsSync(`${pathOf(this.#options.assembly.root.door)}/workspace`);
      return Math.round(((blocks - bfree) * bsize) / MIB);
    } catch {
      return null;
    }
  }
}
