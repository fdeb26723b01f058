/** Calls of the runsc program: each with named descriptors, a log of its own and a deadline. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { Fd } from '../../syscall/files.ts';
import { launchCommand } from '../../syscall/launch.ts';
import type { Step } from '../../syscall/table.ts';
import { reap, waitForEnd, type Ended } from '../../syscall/process.ts';

export interface RunscCall {
  readonly path: string;
  /** flags, subcommand and its arguments */
  readonly args: readonly string[];
  /** file that stdout and stderr go to */
  readonly logFile: string;
  /** descriptor 0; left out: /dev/null */
  readonly stdin?: Fd;
  /** steps made in the child before runsc runs */
  readonly steps?: readonly Step[];
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** What runsc and its children see of an environment: nothing of ours. */
export const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

/**
 * Runs runsc to its end. Throws RUNTIME_FAILED when it exits with anything but 0 or does not end in time, CANCELED when `signal` fires;
 * it is dead then. The last lines of its log go into ours, never across the wire.
 */
export const runRunsc = async (call: RunscCall): Promise<void> => {
  const subcommand = call.args.find((argument) => !argument.startsWith('-')) ?? '';
  const ended = await run(call);
  if (ended?.code === 0) return;
  if (call.signal.aborted) throw new SandboxError('CANCELED', 'the call was canceled');
  const how =
    ended === null
      ? `did not end within ${call.deadlineMs / 1000} s`
      : ended.signal === null
        ? `ended with exit code ${ended.code}`
        : `was ended by signal ${ended.signal}`;
  log.error({ subcommand, how, runsc: lastLines(call.logFile) }, 'runsc failed');
  throw new SandboxError('RUNTIME_FAILED', `gVisor could not ${PURPOSES[subcommand] ?? 'do its work'}: its program ${how}`);
};

const PURPOSES: Readonly<Record<string, string>> = { create: 'create the sandbox', start: 'start the sandbox' };

/** How it ended; null when it had to be killed because the deadline had passed. */
const run = async ({ path, args, logFile, stdin, steps = [], deadlineMs, signal }: RunscCall): Promise<Ended | null> => {
  const files = [openSync('/dev/null', 'r'), openSync(logFile, 'a', 0o600)] as const;
  try {
    const child = await launchCommand({ path, argv: [path, ...args], env: ENVIRONMENT, stdio: [stdin ?? files[0], files[1], files[1]], steps });
    const inTime = await endOf(child, deadlineMs, signal);
    const ended = reap(child);
    return inTime ? ended : null;
  } finally {
    for (const file of files) closeSync(file);
  }
};

const endOf = async (child: Parameters<typeof waitForEnd>[0], deadlineMs: number, signal: AbortSignal): Promise<boolean> => {
  const step = 100;
  for (let waited = 0; waited < deadlineMs && !signal.aborted; waited += step) if (await waitForEnd(child, Math.min(step, deadlineMs - waited))) return true;
  return false;
};

const LOG_TAIL = 2000;

/** The end of a log of runsc's, for our own log. */
export const lastLines = (logFile: string): string => {
  try {
    return readFileSync(logFile, 'utf8').slice(-LOG_TAIL).trim();
  } catch {
    return '';
  }
};
