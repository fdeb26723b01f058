/** Running commands in one sandbox and waiting for them: what sandbox_exec and sandbox_wait do. */
import { existsSync, writeFileSync, mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { SandboxError } from '../errors.ts';
import { programEnvironment } from '../oci/process.ts';
import type { Policy } from '../policy/profile.ts';
import type { Ending, ProcessSpec, Runtime } from '../runtime/runtime.ts';
import { pathOf } from '../syscall/files.ts';
import type { WindowSize } from '../syscall/terminal.ts';
import { WORKSPACE } from '../workspace/paths.ts';
import type { Assembly } from './assembly.ts';
import { attach, type Attachment, type AttachInput } from './attachment.ts';
import type { Clock } from './clock.ts';
import { Exec, OUTPUT_ROOT } from './exec.ts';
import { Execs } from './execs.ts';
import { newExecId } from './ids.ts';
import type { Outputs, Take } from './output.ts';
import type { ExecInput, ExecResult, WaitInput } from './requests.ts';

export interface CommandsOptions {
  readonly key: string;
  readonly policy: Policy;
  /** variables of the sandbox, on top of the policy's */
  readonly env: Readonly<Record<string, string>>;
  readonly assembly: Assembly;
  readonly runtime: Runtime;
  readonly outputs: Outputs;
  readonly clock: Clock;
  /** resolves when the sandbox has ended by itself */
  readonly sandboxEnd: Promise<Ending>;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const DEFAULT_WAIT_MS = 30_000;
/** Clients give up after 60 s, whatever they are told meanwhile. */
const MOST_WAIT_MS = 45_000;
const DEFAULT_OUTPUT_BYTES = 8_000;
/** Most that a result holds of the output: the rest is in the files. */
const MOST_OUTPUT_BYTES = 1_000_000;
/** A longer command line is put into a file: the kernel takes 128 KiB for one argument.   man 2 execve */
const LONGEST_ARGUMENT = 128 * 1024 - 1;
/** For who has the output already. */
const FACTS_ONLY = { maxBytes: 1, nameErrors: false };
const DEFAULT_WINDOW: WindowSize = { rows: 24, cols: 80 };

export class Commands {
  readonly #options: CommandsOptions;
  readonly #execs: Execs;

  constructor(options: CommandsOptions) {
    this.#options = options;
    this.#execs = new Execs(options.assembly.runDirectory);
  }

  get running(): readonly Exec[] {
    return this.#execs.running;
  }

  /** Runs a command until it ends or `wait_ms` is over. A cancellation meanwhile ends the command. Throws EXEC_FAILED, LIMIT_EXCEEDED, SandboxGone. */
  async exec(input: ExecInput, signal: AbortSignal, take?: Take): Promise<ExecResult> {
    const exec = await this.#start(input, take !== undefined);
    const cancel = (): void => void exec.kill('canceled');
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      // A command that was cancelled ends: its end is waited for, so that nothing of it is left when the call is over.
      return await this.#tell(exec, input, new AbortController().signal, take);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** Goes on with a command. A cancellation ends the wait only. Throws EXEC_NOT_FOUND, EXEC_FAILED, INVALID_PARAMS. */
  async wait(input: WaitInput, signal: AbortSignal, take?: Take): Promise<ExecResult> {
    const exec = this.#execs.get(input.exec_id);
    if (input.rows !== undefined || input.cols !== undefined) await exec.resize(windowOf(input));
    if (input.stdin !== undefined) exec.write(input.stdin);
    if (input.close_stdin) exec.closeInput();
    if (input.signal !== undefined) await exec.signal(numberOfSignal(input.signal));
    return this.#tell(exec, input, signal, take);
  }

  /** Runs a command to its end on its caller's own streams, in pieces of any bytes. A cancellation, or a stream that cannot go on, ends the command. */
  async attach(input: AttachInput, attachment: Attachment, signal: AbortSignal): Promise<ExecResult> {
    const exec = await this.#start({ ...input, keep_stdin: true }, true);
    await attach(exec, attachment, signal);
    return exec.result(FACTS_ONLY);
  }

  /** Runs a program inside for the server's own ends and gives its output; one that says too much is ended. Nothing of it stays. */
  async look(argv: readonly string[], signal: AbortSignal): Promise<{ code: number | null; stdout: Buffer }> {
    const exec = await this.#start({ argv: [...argv], timeout_ms: Math.min(LOOK_TIMEOUT_MS, this.#options.policy.lifetime.exec_timeout_ms) }, true);
    const cancel = (): void => void exec.kill('canceled');
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const parts: Buffer[] = [];
      let size = 0;
      const take: Take = (stream, bytes) => {
        if (stream !== 'stdout' || size > MOST_LOOK_BYTES) return;
        size += bytes.length;
        parts.push(Buffer.from(bytes));
        if (size > MOST_LOOK_BYTES) cancel();
      };
      await exec.follow(take, signal);
      const { exit_code: code } = await exec.result(FACTS_ONLY);
      return { code, stdout: Buffer.concat(parts) };
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#execs.remove(exec.id);
    }
  }

  /** Before the sandbox is destroyed: what still runs is told as canceled. */
  abandon(): void {
    for (const exec of this.running) exec.abandon('canceled');
  }

  async #start(input: ExecInput, isFollowed: boolean): Promise<Exec> {
    const { runtime, key, assembly, outputs, clock, sandboxEnd } = this.#options;
    const { tty = false, keep_stdin: keepStdin = false } = input;
    const exec = await Exec.start({
      process: this.#processOf(input),
      stdin: input.stdin ?? null,
      keepStdin: keepStdin || tty,
      terminal: tty ? windowOf(input) : null,
      timeoutMs: this.#timeoutOf(input),
      isFollowed,
      runDirectory: assembly.runDirectory,
      outputs,
      clock,
      start: (process, io) => runtime.exec(key, process, io),
      sandboxEnd,
    });
    this.#execs.add(exec);
    return exec;
  }

  async #tell(exec: Exec, input: Pick<ExecInput, 'wait_ms' | 'max_output_bytes' | 'nameErrors'>, signal: AbortSignal, take?: Take): Promise<ExecResult> {
    const { wait_ms: waitMs = DEFAULT_WAIT_MS, max_output_bytes: maxBytes = DEFAULT_OUTPUT_BYTES, nameErrors = false } = input;
    const over = new AbortController();
    const cancelTimer = this.#options.clock.after(Math.min(waitMs, MOST_WAIT_MS), () => over.abort());
    const enough = AbortSignal.any([over.signal, signal]);
    const following = take && exec.startFollowing(take);
    try {
      await Promise.all([untilEither(exec.ended, enough), following && exec.followUntil(following, enough)]);
      if (signal.aborted) throw new SandboxError('CANCELED', 'the wait was canceled; the command goes on');
      const result = await exec.result({ maxBytes: Math.min(maxBytes, MOST_OUTPUT_BYTES), nameErrors }, following);
      this.#execs.prune();
      return result;
    } finally {
      cancelTimer();
      following?.stop();
    }
  }

  #processOf({ command, argv, cwd = WORKSPACE, env }: ExecInput): ProcessSpec {
    const { policy, env: own } = this.#options;
    const id = newExecId();
    return {
      id,
      argv: argv ?? [this.#shell(), ...this.#shellArguments(id, command ?? '')],
      env: programEnvironment(policy, { ...own, ...env }),
      cwd: cwd.startsWith('/') ? cwd : `${WORKSPACE}/${cwd}`,
    };
  }

  #shell(): string {
    return existsSync(`${pathOf(this.#options.assembly.root.door)}/usr/bin/bash`) ? '/bin/bash' : '/bin/sh';
  }

  #shellArguments(id: string, command: string): readonly string[] {
    if (Buffer.byteLength(command) <= LONGEST_ARGUMENT) return ['-c', command];
    const directory = join(this.#options.assembly.runDirectory, id);
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(join(directory, 'command'), command, { mode: 0o644 });
    return [`${OUTPUT_ROOT}/${id}/command`];
  }

  #timeoutOf({ timeout_ms: timeoutMs }: ExecInput): number {
    const { name, lifetime } = this.#options.policy;
    if (timeoutMs === undefined) return Math.min(DEFAULT_TIMEOUT_MS, lifetime.exec_timeout_ms);
    if (timeoutMs <= lifetime.exec_timeout_ms) return timeoutMs;
    throw new SandboxError('LIMIT_EXCEEDED', `timeout_ms ${timeoutMs} exceeds the ${lifetime.exec_timeout_ms} that policy "${name}" allows`, {
      hint: 'ask for less, or for 0: no limit but the end of the sandbox',
    });
  }
}

const LOOK_TIMEOUT_MS = 10_000;
const MOST_LOOK_BYTES = 16 * 1024 * 1024;

const windowOf = ({ rows = DEFAULT_WINDOW.rows, cols = DEFAULT_WINDOW.cols }: Partial<WindowSize>): WindowSize => ({ rows, cols });

// Resolves with the end, or when `signal` fires; rejects only as the end does.
const untilEither = async (ended: Promise<void>, signal: AbortSignal): Promise<void> => {
  let stop = (): void => {};
  const enough = new Promise<void>((resolve) => {
    stop = resolve;
    if (signal.aborted) resolve();
    signal.addEventListener('abort', stop, { once: true });
  });
  await Promise.race([ended, enough]).finally(() => signal.removeEventListener('abort', stop));
};

const numberOfSignal = (name: string): number => {
  const known: Readonly<Record<string, number>> = constants.signals;
  const number = known[name.startsWith('SIG') ? name : `SIG${name}`];
  if (number !== undefined) return number;
  throw new SandboxError('INVALID_PARAMS', `expected \`signal\` to be the name of a signal such as TERM or SIGINT, got ${JSON.stringify(name.slice(0, 40))}`);
};
