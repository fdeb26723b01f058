/** One command: running → ended, once. How it ended comes from the kernel alone; why it was ended, from who ended it. */
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { SandboxGone, StartError, type Exit, type Io, type ProcessSpec, type Running } from '../runtime/runtime.ts';
import { SIGKILL } from '../syscall/constants.ts';
import { createPipe } from '../syscall/pipe.ts';
import type { Clock } from './clock.ts';
import { excerptsOf } from './excerpt.ts';
import type { Output, Outputs } from './output.ts';
import type { ExecResult, ExecStatus } from './requests.ts';

/** Where outputs are seen inside. */
export const OUTPUT_ROOT = '/run/cellwall';

export interface ExecOptions {
  readonly process: ProcessSpec;
  /** text for standard input; null: the end of file at once */
  readonly stdin: string | null;
  /** 0: none */
  readonly timeoutMs: number;
  /** host directory of the outputs */
  readonly runDirectory: string;
  readonly outputs: Outputs;
  readonly clock: Clock;
  readonly start: (process: ProcessSpec, io: Io) => Promise<Running>;
}

/** Who ended a command before its time. */
type Cause = 'timed_out' | 'canceled' | 'oom_killed';

interface End {
  readonly status: ExecStatus;
  readonly exit: Exit;
  readonly at: number;
}

export class Exec {
  readonly id: string;
  /** resolves when the command has ended; rejects with SandboxGone or EXEC_FAILED when there is no end to tell */
  readonly ended: Promise<void>;
  readonly #output: Output;
  readonly #running: Running;
  readonly #clock: Clock;
  readonly #startedAt: number;
  #cause: Cause | null = null;
  #end: End | null = null;

  /** Starts a command. Throws EXEC_FAILED when it cannot be started, SandboxGone when the sandbox is. */
  static async start(options: ExecOptions): Promise<Exec> {
    const output = options.outputs.open(join(options.runDirectory, options.process.id));
    try {
      return new Exec(options, output, await startWith(output, options));
    } catch (error) {
      output.forget();
      throw toExecError(error);
    }
  }

  private constructor({ process, timeoutMs, clock }: ExecOptions, output: Output, running: Running) {
    this.id = process.id;
    this.#output = output;
    this.#running = running;
    this.#clock = clock;
    this.#startedAt = clock.now();
    const cancelTimer = timeoutMs > 0 ? clock.after(timeoutMs, () => void this.kill('timed_out')) : (): void => {};
    this.ended = running.exit.then(
      (exit) => this.#settle(exit),
      (error: unknown) => this.#abandon(error),
    );
    this.ended.catch(() => undefined).finally(cancelTimer);
  }

  get isRunning(): boolean {
    return this.#end === null;
  }

  /** Ends all that the command started, by force, and says why in its status. After its end: nothing. */
  async kill(cause: Cause): Promise<void> {
    if (this.#end !== null) return;
    this.#cause ??= cause;
    try {
      await this.#running.killAll();
    } catch (error) {
      log.error({ err: error, exec_id: this.id }, 'a command could not be killed');
    }
  }

  /** How it stands now, with all output up to now in at most `maxBytes`. */
  async result(maxBytes: number): Promise<ExecResult> {
    const end = this.#end;
    const streams = await this.#output.sync();
    try {
      const outputPath = `${OUTPUT_ROOT}/${this.id}`;
      const { stdout, stderr } = excerptsOf(streams, maxBytes, outputPath);
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
      for (const { fd } of [streams.stdout, streams.stderr]) closeSync(fd);
    }
  }

  /** Names why the sandbox goes away under the command, before it does. */
  abandon(cause: Cause): void {
    this.#cause ??= cause;
  }

  // The sandbox is gone and the command with it: a cause that is known is how it ended.
  #abandon(error: unknown): void {
    if (this.#cause === null || !(error instanceof SandboxGone)) throw toExecError(error);
    this.#settle({ code: null, signal: SIGKILL });
  }

  #settle(exit: Exit): void {
    const killed = exit.signal !== null;
    this.#end = { exit, at: this.#clock.now(), status: killed ? (this.#cause ?? 'signaled') : 'exited' };
  }
}

// The descriptors are the command's once it has started; ours are closed whatever happens.
const startWith = async (output: Output, { process, stdin, start }: ExecOptions): Promise<Running> => {
  const input = stdin === null ? { read: openSync('/dev/null', 'r') } : createPipe();
  try {
    const running = await start(process, { stdin: input.read, stdout: output.stdout, stderr: output.stderr });
    if ('write' in input) feed(input.write, stdin ?? '');
    return running;
  } catch (error) {
    if ('write' in input) closeSync(input.write);
    throw error;
  } finally {
    for (const fd of [input.read, output.stdout, output.stderr]) closeSync(fd);
  }
};

// A command that reads none of it, or not all, is no error: the pipe breaks or is closed with it.
const feed = (fd: number, text: string): void => {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => socket.destroy());
  socket.end(text);
};

const toExecError = (error: unknown): unknown => (error instanceof StartError ? new SandboxError('EXEC_FAILED', error.message, { cause: error }) : error);

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

const nameOfSignal = (signal: number): string => SIGNAL_NAMES.get(signal) ?? `SIG${signal}`;
