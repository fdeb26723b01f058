/** The process's own stdin and stdout as the wire of one client, from its first byte until it is gone. */
import { setInterval } from 'node:timers/promises';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { log } from '../log.ts';
import type { Dispatch } from './dispatch.ts';
import type { JsonRpcOptions } from './jsonrpc.ts';
import { LineTransport } from './lines.ts';
import { serveMcp, type McpOptions } from './mcp.ts';
import type { Ending, Wire } from './messages.ts';

export type { Ending, Wire } from './messages.ts';

export interface StdioOptions extends McpOptions {
  /** what the client calls */
  readonly dispatch: Dispatch;
  readonly info: JsonRpcOptions['info'];
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

/** What a client may take to read what was said last, in `ms`: one that has stopped reading is not waited for. */
const LAST_WORDS_MS = 1000;

/** Says nothing more, and resolves when all that was said is with the client, or will never be. */
export const closeWire = async ({ output }: Wire): Promise<void> => {
  output.end();
  await finished(output, { signal: AbortSignal.timeout(LAST_WORDS_MS) }).catch(() => undefined);
};

/** Serves one client and resolves when it is gone: its calls have been cancelled by then, what it left behind has not been cleaned up. */
export const serveStdio = async (options: StdioOptions): Promise<Ending> => {
  const { clientProcessId, until = never } = options;
  const watch = new AbortController();
  const interrupted = Promise.race([until, clientProcessId === undefined ? never : processGone(clientProcessId, watch.signal)]);
  const connection = await connect(options, interrupted);
  const ending = await Promise.race([connection.ended, interrupted]);
  watch.abort();
  log[ending.exitCode === 0 ? 'info' : 'error']({ reason: ending.reason }, 'the connection has ended');
  await connection.close();
  return ending;
};

const never = new Promise<never>(() => {});

interface Connection {
  readonly ended: Promise<Ending>;
  close(): void | Promise<void>;
}

// The first byte tells the two wires apart: a frame begins with `Content-Length` (or `Content-Type`), a line of MCP never with that letter.
// What only frames need is loaded when they come.
const connect = async (options: StdioOptions, interrupted: Promise<unknown>): Promise<Connection> => {
  const { dispatch, wire, info } = options;
  if (/^c/i.test(await firstByteOf(wire, interrupted))) return (await import('./jsonrpc.ts')).serveJsonRpc({ dispatch, wire, info });
  const transport = new LineTransport(wire);
  const mcp = serveMcp(dispatch, transport, options);
  return { ended: transport.ended, close: () => mcp.close() };
};

// Put back after it was looked at; empty when the client goes, or the server is asked to end, before it says anything.
const firstByteOf = ({ input }: Wire, interrupted: Promise<unknown>): Promise<string> =>
  new Promise((resolve) => {
    const look = (): void => {
      const chunk = input.read() as Buffer | string | null;
      if (chunk === null && !input.readableEnded && !input.destroyed) return;
      input.off('readable', look);
      if (chunk !== null) input.unshift(chunk);
      resolve(chunk === null ? '' : String(chunk.slice(0, 1)));
    };
    input
      .on('readable', look)
      .once('end', () => resolve(''))
      .once('error', () => resolve(''));
    void interrupted.then(() => resolve(''));
  });

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
