/** One command: running → ended, once. How it ended comes from the kernel alone; why it was ended, from who ended it. */
import { closeSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { SandboxGone, StartError, type Ending, type Exit, type Io, type ProcessSpec, type Running, type SignalTarget } from '../runtime/runtime.ts';
import { SIGKILL } from '../syscall/constants.ts';
import type { WindowSize } from '../syscall/terminal.ts';
import type { Clock } from './clock.ts';
import { excerptsOf, type ExcerptOptions } from './excerpt.ts';
import { STREAMS, type Output, type Outputs, type Stream, type Take } from './output.ts';
import { Following } from './follower.ts';
import type { ExecResult, ExecStatus } from './requests.ts';
import { createStdio, type Stdio } from './stdio.ts';

/** Where outputs are seen inside. */
export const OUTPUT_ROOT = '/run/cellwall';

export interface ExecOptions {
  readonly process: ProcessSpec;
  /** text for standard input; null: none */
  readonly stdin: string | null;
  /** whether more input may come after `stdin` */
  readonly keepStdin: boolean;
  /** null: no terminal */
  readonly terminal: WindowSize | null;
  /** 0: none */
  readonly timeoutMs: number;
  /** whether `follow` will be called at once: then the command waits for it from its first byte on */
  readonly isFollowed: boolean;
  /** host directory of the outputs */
  readonly runDirectory: string;
  readonly outputs: Outputs;
  readonly clock: Clock;
  readonly start: (process: ProcessSpec, io: Io) => Promise<Running>;
  /** resolves when the sandbox has ended by itself */
  readonly sandboxEnd: Promise<Ending>;
}

/** Who ended a command before its time. */
export type Cause = 'timed_out' | 'canceled' | 'oom_killed';

interface End {
  readonly status: ExecStatus;
  readonly exit: Exit;
  readonly at: number;
}

/** How often a followed command is asked for what it wrote. */
const FOLLOW_MS = 30;
/** How often it is asked once it has ended: the first time what a command that had to wait left in its pipe may not have been taken out. */
const ROUNDS_AFTER_END = 2;

export class Exec {
  readonly id: string;
  /** resolves when the command has ended; rejects with SandboxGone or EXEC_FAILED when there is no end to tell */
  readonly ended: Promise<void>;
  readonly #output: Output;
  readonly #stdio: Stdio;
  readonly #running: Running;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #delivered: Record<Stream, number> = { stdout: 0, stderr: 0 };
  #telling: Promise<unknown> = Promise.resolve();
  #cause: Cause | null = null;
  #killing: Promise<void> | null = null;
  #end: End | null = null;
  #isRunning = true;
  #isOver = false;

  /** Starts a command. Throws EXEC_FAILED when it cannot be started, SandboxGone when the sandbox is. */
  static async start(options: ExecOptions): Promise<Exec> {
    const { process, stdin, keepStdin, terminal, outputs, runDirectory } = options;
    let exec: Exec | null = null;
    const onSignal = (name: 'SIGINT' | 'SIGQUIT' | 'SIGTSTP'): void => void exec?.signal(constants.signals[name], 'foreground');
    const stdio = createStdio({ terminal, hasInput: stdin !== null || keepStdin, onSignal });
    const output = outputs.open(join(runDirectory, process.id), stdio.sources);
    if (options.isFollowed) for (const stream of STREAMS) output.follow(stream, 0);
    try {
      const running = await options.start(process, stdio.io);
      exec = new Exec(options, stdio, output, running);
      if (stdin !== null) stdio.input.write(stdin);
      if (!keepStdin) stdio.input.end();
      return exec;
    } catch (error) {
      stdio.input.discard();
      output.forget();
      await output.sync().catch(() => undefined); // when this is answered, no file is made any more
      rmSync(join(runDirectory, process.id), { recursive: true, force: true });
      throw toExecError(error);
    } finally {
      stdio.release();
    }
  }

  private constructor({ process, timeoutMs, clock, sandboxEnd }: ExecOptions, stdio: Stdio, output: Output, running: Running) {
    this.id = process.id;
    this.#stdio = stdio;
    this.#output = output;
    this.#running = running;
    this.#clock = clock;
    this.#startedAt = clock.now();
    const cancelTimer = timeoutMs > 0 ? clock.after(timeoutMs, () => void this.kill('timed_out')) : (): void => {};
    this.ended = running.exit
      .then(
        (exit) => this.#finish(exit, clock.now()),
        (error: unknown) => this.#abandon(error, sandboxEnd),
      )
      .finally(() => {
        this.#isRunning = false;
        cancelTimer();
        stdio.input.discard();
      });
    this.ended.catch(() => undefined);
  }

  /** whether it has ended and nobody can write to its output any more, as far as it was looked at */
  get isOver(): boolean {
    return this.#isOver;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Ends all that the command started, by force; `cause` becomes its status, or `signaled` where there is none. After its end: nothing. */
  async kill(cause: Cause | null): Promise<void> {
    if (this.#end !== null) return;
    this.#cause ??= cause;
    this.#killing ??= this.#killAll();
    await this.#killing;
  }

  async #killAll(): Promise<void> {
    try {
      await this.#running.killAll();
    } catch (error) {
      this.#killing = null; // the next one tries again
      log.error({ err: error, exec_id: this.id }, 'a command could not be killed');
    }
  }

  /** Names why the sandbox goes away under the command, before it does. */
  abandon(cause: Cause): void {
    this.#cause ??= cause;
  }

  /** Sends a signal; SIGKILL ends all that the command started. After its end: nothing. */
  async signal(signal: number, target: SignalTarget = 'group'): Promise<void> {
    if (this.#end !== null) return;
    if (signal === SIGKILL) await this.kill(null);
    else await this.#running.signal(signal, target);
  }

  /** Gives text to the command's input. Throws EXEC_FAILED when it has none any more. */
  write(text: string): void {
    if (this.#end !== null || !this.#stdio.input.write(text)) {
      throw new SandboxError('EXEC_FAILED', `exec "${this.id}" takes no input: ${this.#end === null ? 'its standard input is closed' : 'it has ended'}`, {
        hint: 'start the command with `keep_stdin` or `tty`',
      });
    }
  }

  /** Gives bytes to the command's input and resolves when it has room for more; false when it takes none any more. */
  async feed(bytes: Buffer): Promise<boolean> {
    return this.#end === null && (await this.#stdio.input.feed(bytes));
  }

  closeInput(): void {
    this.#stdio.input.end();
  }

  async resize(size: WindowSize): Promise<void> {
    this.#stdio.resize(size);
    await this.signal(constants.signals.SIGWINCH, 'foreground');
  }

  /**
   * How it stands now, with the output that was not told yet, as far as it may be shown. Two that ask at once are told different parts.
   * All that it tells of is handed on to those who follow, before it is told.
   */
  result(shown: ExcerptOptions, following?: Following): Promise<ExecResult> {
    const told = this.#telling.then(() => this.#tell(shown, following));
    this.#telling = told.catch(() => undefined);
    return told;
  }

  /**
   * Reads on from what was told last, without a bound, and hands each part on in order; the command waits when it is far ahead.
   * Resolves when the command has ended and all of it was handed on, or when `signal` fires.
   */
  async follow(take: Take, signal: AbortSignal): Promise<void> {
    const following = this.startFollowing(take);
    await this.followUntil(following, signal).finally(() => following.stop());
  }

  /** From now on the command waits when it is far ahead of what was handed on, until the following is stopped. */
  startFollowing(take: Take): Following {
    return new Following(this.#delivered, this.#output, take);
  }

  /** Resolves when the command has ended and all of it was handed on, or when `signal` fires. */
  async followUntil(following: Following, signal: AbortSignal): Promise<void> {
    for (let rounds = 0; rounds < ROUNDS_AFTER_END && !signal.aborted;) {
      if (await Promise.race([this.ended.then(() => true), sleep(FOLLOW_MS, false)])) rounds += 1;
      const streams = await this.#output.sync();
      try {
        await following.advance(streams);
      } finally {
        for (const stream of STREAMS) closeSync(streams[stream].fd);
      }
    }
  }

  /** Gives up the output: its files stay as long as their directory does. */
  forget(): void {
    this.#output.forget();
  }

  async #tell(shown: ExcerptOptions, following: Following | undefined): Promise<ExecResult> {
    const end = this.#end;
    const streams = await this.#output.sync();
    try {
      await following?.advance(streams);
      const outputPath = `${OUTPUT_ROOT}/${this.id}`;
      const part = (stream: Stream) => ({
        stream: streams[stream],
        from: this.#delivered[stream],
        path: `${outputPath}/${stream}`,
        isFinal: end !== null || streams[stream].ended,
      });
      const excerpts = await excerptsOf({ stdout: part('stdout'), stderr: part('stderr') }, shown);
      for (const stream of STREAMS) this.#delivered[stream] = excerpts[stream].to;
      this.#isOver = end !== null && STREAMS.every((stream) => streams[stream].ended);
      const { stdout, stderr } = excerpts;
      return {
        exec_id: this.id,
        status: end?.status ?? 'running',
        exit_code: end?.exit.code ?? null,
        signal: end?.exit.signal == null ? null : nameOfSignal(end.exit.signal),
        stdout: stdout.text,
        stderr: stderr.text,
        stdout_bytes: streams.stdout.total,
        stderr_bytes: streams.stderr.total,
        truncated: stdout.cut || stderr.cut,
        output_path: outputPath,
        duration_ms: Math.round((end?.at ?? this.#clock.now()) - this.#startedAt),
      };
    } finally {
      for (const stream of STREAMS) closeSync(streams[stream].fd);
    }
  }

  // What was killed has ended when nothing of it lives.
  async #finish(exit: Exit, at: number): Promise<void> {
    await this.#killing;
    this.#settle(exit, at);
  }

  // The sandbox is gone and the command with it: a cause that is known, or found out, is how it ended.
  async #abandon(error: unknown, sandboxEnd: Promise<Ending>): Promise<void> {
    if (!(error instanceof SandboxGone)) throw toExecError(error);
    if (this.#cause === null && (await sandboxEnd).outOfMemory) this.#cause = 'oom_killed';
    if (this.#cause === null) throw error;
    this.#settle({ code: null, signal: SIGKILL }, this.#clock.now());
  }

  #settle(exit: Exit, at: number): void {
    this.#end = { exit, at, status: exit.signal === null ? 'exited' : (this.#cause ?? 'signaled') };
  }
}

const toExecError = (error: unknown): unknown => (error instanceof StartError ? new SandboxError('EXEC_FAILED', error.message, { cause: error }) : error);

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

const nameOfSignal = (signal: number): string => SIGNAL_NAMES.get(signal) ?? `SIG${signal}`;
