/**
 * `npm run bench`: what cellwall promises about speed, each as a ratio to runsc's own command line in the same run. It shows and never asserts:
 * exit code 0 unless something breaks. `--rounds N` (60); `--quick` or `--short`: few rounds, to see that it works.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { cpus, homedir, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findRunsc } from '../../src/runtime/gvisor/runsc.ts';
import { identity, mode, user } from '../e2e/harness/mode.ts';
import { startPeer, startServer, type LoopDelay, type Peer, type Server } from './subjects.ts';
import { measureLoads } from './loads.ts';
import { measureProject } from './project.ts';
import { formatTable, single, summarize, timed, type Row } from './table.ts';

const ROOT = process.cwd();
const ROUNDS = { full: 60, quick: 5 };
const IDLE_MS = { full: 5000, quick: 1000 };
/** In each round, because a single one takes little. */
const EXECS = 3;
const READS = 5;
const WARM_UP = 2;

type Measured = Record<'create' | 'peerCreate' | 'exec' | 'peerExec' | 'destroy' | 'peerDelete' | 'read', number[]>;

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' }, short: { type: 'boolean' }, rounds: { type: 'string' } } });
  const size = values.quick || values.short ? 'quick' : 'full';
  const rounds = Number(values.rounds ?? ROUNDS[size]);
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-bench-')));
  try {
    const runsc = prepare(place);
    console.log(machine(runsc));
    const loadBefore = loadavg();
    const rows = await runAll(place, runsc, size, rounds);
    console.log(`load ${showLoad(loadBefore)} before, ${showLoad(loadavg())} after; ${rounds} rounds, interleaved, in turns; servers as ${mode}\n`);
    console.log(`${formatTable(rows)}\n\n${FOOT}`);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
};

// A runsc that the user of this mode may start.
const prepare = (place: string): string => {
  for (const name of ['', 'cache', 'state', 'peer', 'projects']) {
    mkdirSync(join(place, name), { recursive: true });
    chmodSync(join(place, name), 0o711);
    chownSync(join(place, name), user.uid, user.gid);
  }
  const cacheDir = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cellwall');
  const { path } = findRunsc({ env: process.env, cacheDir, uid: process.getuid!() });
  if (Object.keys(identity).length === 0) return path;
  const copy = join(place, 'runsc');
  copyFileSync(path, copy);
  chownSync(copy, user.uid, user.gid);
  return copy;
};

type Size = 'full' | 'quick';

const runAll = async (place: string, runsc: string, size: Size, rounds: number): Promise<Row[]> => {
  const projects = join(place, 'projects');
  const server = await startServer({ root: ROOT, place, runsc, projects });
  try {
    const basics = await besidePeer(server, { runsc, place: join(place, 'peer') }, rounds, IDLE_MS[size]);
    return [...basics, ...(await measureLoads(server, size)), ...(await measureProject(server, projects, size))];
  } finally {
    await server.close();
  }
};

const besidePeer = async (server: Server, where: { runsc: string; place: string }, rounds: number, idleMs: number): Promise<Row[]> => {
  const { sandbox_id } = await server.call('sandbox_create', { context: 'none' });
  await server.call('sandbox_exec', { sandbox_id, command: 'head -c 4096 /dev/zero | tr "\\0" x >four-kib.txt' });
  const peer = await startPeer({ ...where, sizes: sizes(), ...server.standing() });
  try {
    const { measured, rss, delay } = await measureAll(server, peer, String(sandbox_id), rounds, idleMs);
    return rowsOf(measured, rss, delay);
  } finally {
    await peer.close();
    await server.call('sandbox_destroy', { sandbox_id });
  }
};

const measureAll = async (server: Server, peer: Peer, sandboxId: string, rounds: number, idleMs: number) => {
  for (let round = 0; round < WARM_UP; round++) await measureRound(server, peer, sandboxId, empty());
  await server.loopDelay();
  const rss = server.rss();
  await sleep(idleMs);
  const idle = await server.loopDelay();
  const measured = empty();
  for (let round = 0; round < rounds; round++) await measureRound(server, peer, sandboxId, measured, round % 2 === 1);
  return { measured, delay: { idle, busy: await server.loopDelay() }, rss: { idle: rss, end: server.rss() } };
};

const empty = (): Measured => ({ create: [], peerCreate: [], exec: [], peerExec: [], destroy: [], peerDelete: [], read: [] });

/** Limits of the policy that the server's sandboxes have. */
const sizes = () => {
  const { limits } = JSON.parse(readFileSync(join(ROOT, 'policies/offline.json'), 'utf8')) as { limits: Record<string, number> };
  return { workspace: limits['disk_mb']!, tmp: limits['tmp_mb']!, home: limits['home_mb']!, shm: limits['shm_mb']! };
};

// Who goes first changes from round to round.
const measureRound = async (server: Server, peer: Peer, sandbox_id: string, into: Measured, isPeerFirst = false): Promise<void> => {
  const pairs: readonly [ours: () => Promise<void>, theirs: () => Promise<void>][] = [
    [
      async () => {
        let id: unknown;
        const create = async (): Promise<void> => {
          ({ sandbox_id: id } = await server.call('sandbox_create', { context: 'none' }));
          await server.call('sandbox_exec', { sandbox_id: id, argv: ['true'] });
        };
        into.create.push(await timed(create));
        into.destroy.push(await timed(() => server.call('sandbox_destroy', { sandbox_id: id })));
      },
      async () => {
        into.peerCreate.push(await peer.measure('create'));
        into.peerDelete.push(await peer.measure('delete'));
      },
    ],
    ...Array.from({ length: EXECS }, (): (typeof pairs)[number] => [
      async () => void into.exec.push(await timed(() => server.call('sandbox_exec', { sandbox_id, argv: ['true'] }))),
      async () => void into.peerExec.push(await peer.measure('exec')),
    ]),
  ];
  for (const [ours, theirs] of pairs) for (const run of isPeerFirst ? [theirs, ours] : [ours, theirs]) await run();
  for (let read = 0; read < READS; read++) into.read.push(await timed(() => server.call('sandbox_read', { sandbox_id, path: 'four-kib.txt' })));
};

const rowsOf = (measured: Measured, rss: { idle: number; end: number }, { idle, busy }: { idle: LoopDelay; busy: LoopDelay }): Row[] => {
  const of = (name: keyof Measured) => summarize(measured[name]);
  const create = of('create').median / of('peerCreate').median;
  const exec = of('peerExec').median / of('exec').median;
  const destroy = of('destroy').median / of('peerDelete').median;
  const delay = busy.p999 - idle.p999;
  return [
    {
      what: 'create → first exec answers',
      unit: 'ms',
      ours: of('create'),
      peer: of('peerCreate'),
      result: `${create.toFixed(2)} ×`,
      target: { text: '≤ 0.85 ×', holds: create <= 0.85 },
    },
    {
      what: 'exec true',
      unit: 'ms',
      ours: of('exec'),
      peer: of('peerExec'),
      result: `${exec.toFixed(2)} × faster`,
      target: { text: '≥ 3.5 × faster', holds: exec >= 3.5 },
    },
    {
      what: 'destroy',
      unit: 'ms',
      ours: of('destroy'),
      peer: of('peerDelete'),
      result: `${destroy.toFixed(2)} ×`,
      target: { text: '≤ 0.3 ×', holds: destroy <= 0.3 },
    },
    {
      what: 'read a file of 4 KiB',
      unit: 'ms',
      ours: of('read'),
      result: `${of('read').median.toFixed(2)} ms`,
      target: { text: '≤ 0.6 ms', holds: of('read').median <= 0.6 },
    },
    {
      what: 'event-loop delay, p99.9: busy, less idle',
      unit: 'ms',
      ours: { median: delay, min: idle.p999, p95: busy.p999 },
      result: `${delay.toFixed(2)} ms`,
      target: { text: '≤ 5 ms', holds: delay <= 5 },
    },
    {
      what: 'server, resident, one sandbox',
      unit: 'MB',
      ours: single(rss.idle),
      result: `${rss.idle.toFixed(0)} MB`,
      target: { text: '≤ 90 MB', holds: rss.idle <= 90 },
    },
    { what: 'server, resident, at the end', unit: 'MB', ours: single(rss.end), result: `${rss.end.toFixed(0)} MB`, target: null },
  ];
};

const machine = (runsc: string): string => {
  const [cpu, ...others] = cpus();
  const version = execFileSync(runsc, ['--version'], { encoding: 'utf8' }).split('\n', 1)[0];
  return [
    `Linux ${release()}, ${others.length + 1} × ${cpu?.model.trim()}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `Node ${process.version}, ${version}, systrap`,
  ].join('\n');
};

const showLoad = (load: readonly number[]): string => load.map((one) => one.toFixed(1)).join(' ');

const FOOT = `\
Medians, with minimum and 95th percentile. Ours is what an MCP client (SDK 1.x, stdio) waits for, the protocol, the copy of an (empty) context, the
sandbox's mounts and its control groups included. The peer is runsc's own command line, launched in the same way by a process that lives in namespaces
of the same kind: the spec that the server wrote for its own sandbox, on a tree of the same mounts that was made before the clock started, no control
group. Its create is \`create\` + \`start\` + \`exec\`; its exec goes into the server's own sandbox; its destroy is \`delete --force\` of what it made.
The columns of the loop's delay are: busy less idle, idle, busy.`;

await main();
