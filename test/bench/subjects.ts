/** The two that are measured: the real server behind a real MCP client, and runsc's command line (peer.ts). */
import { spawn, type ChildProcessWithoutNullStreams, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { placesOf } from '../../src/cli/traces.ts';
import type { Spec } from '../../src/oci/spec.ts';
import { identity } from '../e2e/harness/mode.ts';
import { ChildWire } from '../e2e/harness/wire.ts';
import type { PeerAnswer, PeerRequest, PeerSetup } from './peer.ts';

export interface SubjectOptions {
  /** the checkout, with `dist` */
  readonly root: string;
  /** temporary directory of this run, which belongs to the user of this mode */
  readonly place: string;
  readonly runsc: string;
  /** directory that contexts may come from */
  readonly projects: string;
}

/** Event-loop delay since the last time it was asked for, in `ms`. */
export interface LoopDelay {
  readonly count: number;
  readonly p50: number;
  readonly p999: number;
  readonly max: number;
}

export interface Server {
  readonly pid: number;
  call(tool: string, args: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  loopDelay(): Promise<LoopDelay>;
  /** `MB` */
  rss(): number;
  /** what the server gave to runsc for its only sandbox */
  standing(): Pick<PeerSetup, 'spec' | 'init' | 'server'>;
  close(): Promise<void>;
}

const POLL_MS = 10;

/** Starts the built server with the measuring of its event loop in it, and connects the SDK's 1.x client. */
export const startServer = async ({ root, place, runsc, projects }: SubjectOptions): Promise<Server> => {
  const loopFile = join(place, 'loop-delay.jsonl');
  const stateDir = join(place, 'state');
  const child = spawn(
    process.execPath,
    [join(root, 'dist/src/main.js'), '--state-dir', stateDir, '--cache-dir', join(place, 'cache'), '--allow-root', projects, '--log-level', 'error'],
    {
      ...identity,
      cwd: place,
      env: {
        PATH: process.env['PATH'],
        HOME: place,
        CELLWALL_RUNSC: runsc,
        LOOP_DELAY_FILE: loopFile,
        NODE_OPTIONS: `--import=${pathToFileURL(join(root, 'test/fixtures/loop-delay.mjs')).href}`,
      },
      stdio: 'pipe',
    },
  );
  child.stderr.pipe(process.stderr);
  const client = new Client({ name: 'cellwall-bench', version: '1' });
  await Promise.race([client.connect(new ChildWire(child)), untilExit(child, 'the server')]);
  const lines = (): string[] => (existsSync(loopFile) ? readFileSync(loopFile, 'utf8').trimEnd().split('\n') : []);
  return {
    pid: child.pid!,
    call: async (tool, args) => {
      const { isError, content, structuredContent } = await client.callTool({ name: tool, arguments: { ...args } });
      if (isError) throw new Error(`${tool}: ${JSON.stringify(content)}`);
      return { ...(structuredContent as Record<string, unknown> | undefined) };
    },
    loopDelay: async () => {
      const before = lines().length;
      child.kill('SIGUSR2');
      while (lines().length === before) await sleep(POLL_MS);
      return JSON.parse(lines().at(-1)!) as LoopDelay;
    },
    rss: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024,
    standing: () => standingOf(stateDir, child.pid!),
    close: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
};

// The server's directory is its own business: only what runsc itself was given is taken from it.
const standingOf = (stateDir: string, pid: number): ReturnType<Server['standing']> => {
  const places = placesOf(stateDir, pid);
  const runtime = join(places?.state ?? '', 'runtime');
  const [bundle, ...more] = readdirSync(runtime).filter((name) => name.endsWith('.bundle'));
  if (places === null || bundle === undefined || more.length > 0) throw new Error(`expected the bundle of one sandbox in ${runtime}`);
  const id = basename(bundle, '.bundle');
  const spec = JSON.parse(readFileSync(join(runtime, bundle, 'config.json'), 'utf8')) as Spec;
  return { spec, init: join(places.state, id, 'run/init'), server: { root: join(runtime, 'runsc'), id } };
};

export interface Peer {
  /** how long it took, in `ms` */
  measure(request: PeerRequest): Promise<number>;
  close(): Promise<void>;
}

/** Starts the peer, which makes itself a tree. */
export const startPeer = async (setup: PeerSetup): Promise<Peer> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'peer.js')], { ...identity, stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line: string): Promise<number> => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error('the peer has ended');
    const answer = JSON.parse(value) as PeerAnswer;
    if ('error' in answer) throw new Error(`the peer's ${line.slice(0, 20)}: ${answer.error}`);
    return answer.ms;
  };
  await Promise.race([ask(JSON.stringify(setup)), untilExit(child, 'the peer')]);
  return {
    measure: ask,
    close: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
};

const untilExit = async (child: ChildProcessWithoutNullStreams | ChildProcessByStdio<Writable, Readable, null>, who: string): Promise<never> => {
  const [code] = (await once(child, 'exit')) as [number | null];
  throw new Error(`${who} exited with ${code}`);
};
