/** `cellwall setup`: gets runsc, and says what it does while it does it. */
import { clearLine, cursorTo } from 'node:readline';
import { SandboxError } from '../errors.ts';
import { setupRunsc, type Report, type SetupResult } from '../runtime/gvisor/setup.ts';

/** Where setup speaks: progress and reasons to stderr, the outcome to stdout. */
export interface SetupIo {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Makes sure that there is a runsc, and says which one is used and what was checked. Stops on SIGINT, SIGTERM and SIGHUP, leaving nothing half-made.
 * Throws what setupRunsc throws, after writing its details (paths, Go's last lines), which the error's message leaves out.
 */
export const runSetup = async (cacheDir: string, io: SetupIo = process): Promise<void> => {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  for (const signal of STOP_SIGNALS) process.once(signal, stop);
  const screen = openScreen(io.stderr);
  try {
    const result = await setupRunsc({ cacheDir, env: io.env, signal: abort.signal, report: screen.report });
    screen.close();
    io.stdout.write(outcome(result));
  } catch (error) {
    screen.close();
    if (error instanceof SandboxError && error.cause instanceof Error) io.stderr.write(`${error.cause.message}\n`);
    throw error;
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
};

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const ORIGINS: Record<string, string> = { cache: 'in the cache', CELLWALL_RUNSC: 'named by CELLWALL_RUNSC' };

const outcome = ({ how, source, path, verified }: SetupResult): string => {
  const line =
    how === 'built' ? `runsc was built and is used: ${path}` : `runsc is there, ${ORIGINS[source] ?? `in ${source}`}, and is used; nothing was built: ${path}`;
  return `${line}\nverified: ${verified}\n`;
};

/** `ms` between two looks at the status: one that a terminal overwrites, one that a log keeps. */
const REDRAW_MS = { terminal: 1000, log: 5000 };

// Notes stay; the status is one line that overwrites itself on a terminal, and a line from time to time elsewhere.
const openScreen = (out: SetupIo['stderr']): { report: Report; close(): void } => {
  const terminal = out.isTTY === true;
  const startedAt = Date.now();
  let status: string | null = null;
  const wipe = (): void => {
    if (!terminal) return;
    clearLine(out, 0);
    cursorTo(out, 0);
  };
  const draw = (): void => {
    if (status === null) return;
    wipe();
    out.write(`${status} (${minutes(Date.now() - startedAt)})${terminal ? '' : '\n'}`);
  };
  const timer = setInterval(draw, terminal ? REDRAW_MS.terminal : REDRAW_MS.log);
  return {
    report: ({ kind, text }) => {
      if (kind === 'status') {
        status = text;
        if (terminal) draw();
        return;
      }
      wipe();
      out.write(`${text}\n`);
    },
    close: () => {
      clearInterval(timer);
      if (status !== null) wipe();
    },
  };
};

const minutes = (ms: number): string => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;
