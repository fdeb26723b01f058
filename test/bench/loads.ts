/** What commands cost when there are many, or when they say much. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Server } from './subjects.ts';
import { single, summarize, timed, type Row } from './table.ts';

/** How much of everything: what is promised, or a little, to see that it works. */
const AMOUNTS = {
  full: { spread: 500, outputMib: 100, crowd: 50, row: 10_000 },
  quick: { spread: 20, outputMib: 20, crowd: 10, row: 50 },
};

/** Measures in a sandbox of its own. */
export const measureLoads = async (server: Server, size: keyof typeof AMOUNTS): Promise<Row[]> => {
  const amounts = AMOUNTS[size];
  const { sandbox_id } = await server.call('sandbox_create', { context: 'none' });
  const exec = (params: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> => server.call('sandbox_exec', { sandbox_id, ...params });
  const run = (): Promise<unknown> => exec({ argv: ['true'] });
  await run();
  const rows = [await spread(run, amounts.spread), ...(await output(server, exec, amounts.outputMib)), await crowd(exec, amounts.crowd)];
  rows.push(await inARow(server, run, amounts.row));
  await server.call('sandbox_destroy', { sandbox_id });
  return rows;
};

type Exec = (params: Readonly<Record<string, unknown>>) => Promise<Record<string, unknown>>;

const spread = async (run: () => Promise<unknown>, count: number): Promise<Row> => {
  const series: number[] = [];
  for (let turn = 0; turn < count; turn++) series.push(await timed(run));
  const ours = summarize(series);
  const factor = ours.p95 / ours.median;
  return row(`exec true, ${count} in a row: p95 to median`, ours, `${factor.toFixed(2)} ×`, '≤ 2.5 ×', factor <= 2.5);
};

const output = async (server: Server, exec: Exec, mib: number): Promise<Row[]> => {
  const before = server.rss();
  const ms = await timed(() => exec({ command: `head -c ${mib}M /dev/zero` }));
  const rise = server.rss() - before;
  const rate = mib / (ms / 1000);
  return [
    row(`output of ${mib} MiB`, single(ms), `${rate.toFixed(0)} MiB/s`, '≥ 200 MiB/s', rate >= 200),
    { ...row('the same: what the server grows by', single(rise), `${rise.toFixed(1)} MB`, '≤ 20 MB', rise <= 20), unit: 'MB' },
  ];
};

const crowd = async (exec: Exec, count: number): Promise<Row> => {
  const ms = await timed(() => Promise.all(Array.from({ length: count }, () => exec({ argv: ['sleep', '1'] }))));
  return row(`${count} × sleep 1 at once`, single(ms), `${(ms / 1000).toFixed(2)} s`, '≤ 1.5 s', ms <= 1500);
};

// The first tenth is for what is made once.
const inARow = async (server: Server, run: () => Promise<unknown>, count: number): Promise<Row> => {
  for (let turn = 0; turn < count / 10; turn++) await run();
  const before = held(server.pid);
  const rss = server.rss();
  for (let turn = 0; turn < count; turn++) await run();
  const after = held(server.pid);
  const grown = (Object.keys(before) as (keyof typeof before)[]).filter((kind) => after[kind] > before[kind]);
  const text = grown.length === 0 ? 'none' : grown.map((kind) => `${kind} ${before[kind]} → ${after[kind]}`).join(', ');
  const rise = server.rss() - rss;
  return { ...row(`${count} execs: growth of descriptors, threads, children`, single(rise), text, 'none', grown.length === 0), unit: 'MB' };
};

const held = (pid: number): { descriptors: number; threads: number; children: number } => {
  const threads = readdirSync(`/proc/${pid}/task`);
  const childrenOf = (thread: string): number => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).length;
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: threads.length,
    children: threads.reduce((sum, thread) => sum + childrenOf(thread), 0),
  };
};

const row = (what: string, ours: Row['ours'], result: string, text: string, holds: boolean): Row => ({
  what,
  unit: 'ms',
  ours,
  result,
  target: { text, holds },
});
