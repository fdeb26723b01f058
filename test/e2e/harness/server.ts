/** The real server as a process of its own, with a real MCP client before it. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { connectClient, type Answer, type Calls, type ClientKind } from './client.ts';
import { makeHome, type Home } from './home.ts';
import { installation } from './installation.ts';
import { NOTHING, watchHost, type HostLook } from './looks.ts';
import { identity } from './mode.ts';
import { ChildWire } from './wire.ts';

export interface ServerOptions {
  /** arguments of `cellwall` */
  readonly args?: readonly string[];
  /** on top of the home's environment */
  readonly env?: Readonly<Record<string, string>>;
  /** working directory; left out: the home, which is no context */
  readonly cwd?: string;
  readonly home?: Home;
  /** left out: the SDK's 1.x line */
  readonly client?: ClientKind;
  /** URIs that the client names as its roots; left out: it has none */
  readonly roots?: readonly string[];
  /** what the client's user does when asked; left out: the client cannot ask */
  readonly answer?: Answer;
}

export interface Server extends Calls {
  readonly pid: number;
  readonly home: Home;
  /** everything that was logged so far */
  stderr(): string;
  /** lines on stdout that were no message: protocol only belongs there */
  readonly garbage: readonly string[];
  /** what of it, and of other servers of its home, is on this host */
  look(): HostLook;
  /** resolves with the exit code when the process has ended; null after a signal */
  readonly ended: Promise<number | null>;
  /** ends stdin and resolves with the exit code */
  close(): Promise<number | null>;
  /** ends the process by force */
  kill(): Promise<void>;
}

/** Starts a server and connects a client. What is still running at the end of the test is ended then. */
export const startServer = (options: ServerOptions = {}): Promise<Server> => openServer(options, onTestFinished);

/** One server for all tests of a file or of a `describe`. At their end it goes in order, has written nothing but protocol, and nothing of it is left. */
export const shareServer = (options: () => ServerOptions = () => ({})): (() => Server) => {
  let server: Server | undefined;
  const atEnd: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    server = await openServer(options(), (end) => atEnd.push(end));
  });
  afterAll(async () => {
    if (server === undefined) return;
    const exitCode = await server.close();
    for (const end of atEnd) await end();
    expect({ exitCode, garbage: server.garbage, left: server.look() }).toEqual({ exitCode: 0, garbage: [], left: NOTHING });
  });
  return () => server!;
};

/** What a server may take to end all its sandboxes. */
const END_MS = 10_000;

const openServer = async (options: ServerOptions, onEnd: (end: () => Promise<void>) => void): Promise<Server> => {
  const home = options.home ?? makeHome();
  const look = watchHost(home);
  const child = startCellwall({ ...options, home });
  const stderr = collect(child);
  const ended = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  onEnd(async () => {
    child.stdin.end(); // in order, so that it leaves nothing; what hangs is killed
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
    await ended.finally(() => clearTimeout(timer));
  });
  const wire = new ChildWire(child);
  const calls = await connectClient(options.client ?? '1.x', wire, options.roots, options.answer).catch(async (cause: unknown) => {
    child.stdin.end();
    throw new Error(`no client could connect; the server exited with ${await ended} and said:\n${stderr()}`, { cause });
  });
  return {
    ...calls,
    pid: child.pid!,
    home,
    stderr,
    garbage: wire.garbage,
    look,
    ended,
    close: async () => {
      child.stdin.end();
      return ended;
    },
    kill,
  };
};

/** Starts `cellwall ARGS…` as the user of this mode, with pipes. Its caller ends it. */
export const startCellwall = ({
  args = [],
  env = {},
  cwd,
  home = makeHome(),
}: Omit<ServerOptions, 'client' | 'roots' | 'answer'>): ChildProcessWithoutNullStreams => {
  const { node, root } = installation();
  return spawn(node, [join(root, 'dist/src/main.js'), ...args], { ...identity, cwd: cwd ?? home.directory, env: { ...home.env, ...env }, stdio: 'pipe' });
};

const collect = (child: ChildProcessWithoutNullStreams): (() => string) => {
  const chunks: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  return () => chunks.join('');
};
