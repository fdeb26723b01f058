/** The exit code of `cellwall run`: from how the command ended, or from why there is no such end. Pure. */
import { constants } from 'node:os';
import { SandboxError } from '../errors.ts';
import { StartError, type StartFlaw } from '../runtime/runtime.ts';
import type { ExecResult } from '../session/requests.ts';
import { RUN_FAILED } from './run-line.ts';
import { StreamLost } from './streams.ts';

/** What `cellwall run` exits with, and what is to be said of it on stderr. */
export interface Verdict {
  readonly exitCode: number;
  /** left out: nothing */
  readonly failure?: string;
  /** what is no failure of ours, but not to be guessed from the exit code */
  readonly warning?: string;
}

const TIMED_OUT = 124;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** The verdict on a command that has ended. */
export const verdictOn = ({ status, exit_code, signal, duration_ms }: Pick<ExecResult, 'status' | 'exit_code' | 'signal' | 'duration_ms'>): Verdict => {
  const seconds = Math.round(duration_ms / 100) / 10;
  if (status === 'timed_out') return { exitCode: TIMED_OUT, warning: `the command was killed after ${seconds} s: its time was over (--timeout)` };
  if (status === 'canceled')
    return { exitCode: TIMED_OUT, warning: `the command was killed after ${seconds} s: the lifetime of its sandbox was over (see the policy)` };
  const exitCode = exit_code ?? exitCodeOfSignal(signal ?? 'SIGKILL');
  return status === 'oom_killed' ? { exitCode, warning: 'the command was killed: the sandbox ran out of memory' } : { exitCode };
};

/** 128 + the signal's number.   man 7 signal */
export const exitCodeOfSignal = (name: string): number => {
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return 128 + (numbers[name] ?? Number(name.replace('SIG', '')));
};

/** The verdict on what was thrown; null where nothing is known of it. */
export const verdictOnFailure = (thrown: unknown): Verdict | null => {
  if (thrown instanceof StreamLost) {
    const exitCode = thrown.code.startsWith('SIG') ? exitCodeOfSignal(thrown.code) : LOST[thrown.code];
    return exitCode === undefined ? { exitCode: RUN_FAILED, failure: `${thrown.message}; the command was killed` } : { exitCode };
  }
  if (!(thrown instanceof SandboxError)) return null;
  if (thrown.cause instanceof StartError) return { exitCode: EXIT_CODES[thrown.cause.flaw], failure: thrown.message };
  const hint = thrown.code === 'SANDBOX_FAILED' ? FAILED_HINT : thrown.hint; // a client's names its tools
  return { exitCode: RUN_FAILED, failure: `${thrown.message}\nhint: ${hint}` };
};

/** Where our reader or our terminal is gone, what the command itself would have died of: SIGPIPE, SIGHUP. */
const LOST: Readonly<Record<string, number>> = { EPIPE: exitCodeOfSignal('SIGPIPE'), EIO: exitCodeOfSignal('SIGHUP') };

const EXIT_CODES: Readonly<Record<StartFlaw, number>> = { missing: NOT_FOUND, unusable: NOT_EXECUTABLE, other: RUN_FAILED };

const FAILED_HINT = 'run it again; --log-level debug tells more';
