/** The process's own stdin and stdout as the wire of one client, from its first byte until it is gone. */
import { setInterval } from 'node:timers/promises';
import { Writable } from 'node:stream';
import { log } from '../log.ts';
import type { Dispatch } from './dispatch.ts';
import { LineTransport, type Ending, type Wire } from './lines.ts';
import { serveMcp, type McpOptions } from './mcp.ts';

export type { Ending, Wire } from './lines.ts';

export interface StdioOptions extends McpOptions {
  /** what the client calls */
  readonly dispatch: Dispatch;
  /** from `takeStdio` */
  readonly wire: Wire;
  /** a process whose end is the client's end, by its pid */
  readonly clientProcessId?: number | undefined;
  /** another reason to end, when it resolves */
  readonly until?: Promise<Ending>;
}

/**
 * Takes descriptors 0 and 1 for the protocol. From here on whatever else this process writes to stdout (console.log, a library)
 * comes out on stderr, where the log goes.
 */
export const takeStdio = (): Wire => {
  const { stdin, stdout, stderr } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr);
  const output = new Writable({ decodeStrings: false, write: (chunk: string, encoding, done) => void write(chunk, encoding, done) });
  stdout.on('error', (error) => output.destroy(error));
  return { input: stdin, output };
};

/** Serves one client and resolves when it is gone: its calls have been cancelled by then, what it left behind has not been cleaned up. */
export const serveStdio = async (options: StdioOptions): Promise<Ending> => {
  const { dispatch, wire, clientProcessId, until } = options;
  const watch = new AbortController();
  const transport = new LineTransport(wire);
  const connection = serveMcp(dispatch, transport, options);
  const endings = [transport.ended, until, clientProcessId === undefined ? undefined : processGone(clientProcessId, watch.signal)];
  const ending = await Promise.race(endings.filter((one) => one !== undefined));
  watch.abort();
  log[ending.exitCode === 0 ? 'info' : 'error']({ reason: ending.reason }, 'the connection has ended');
  await connection.close();
  return ending;
};

/** how often a client's process is looked for, in ms */
const WATCH_INTERVAL_MS = 1000;

// Resolves when no process has this pid any more; never, once `signal` is aborted.
const processGone = async (pid: number, signal: AbortSignal): Promise<Ending> => {
  const ticks = setInterval(WATCH_INTERVAL_MS, undefined, { signal, ref: false });
  while (isAlive(pid) && !(await aborted(ticks)));
  return { reason: `process ${pid} is gone`, exitCode: 0 };
};

const aborted = async (ticks: AsyncIterator<undefined>): Promise<boolean> => {
  try {
    return (await ticks.next()).done === true;
  } catch {
    return true;
  }
};

// A process that belongs to someone else (EPERM) is alive.
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};
