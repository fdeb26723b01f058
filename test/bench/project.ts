/** What a project of many files costs: to copy it, to copy it again, to tell what changed, to search it. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { user } from '../e2e/harness/mode.ts';
import type { Server } from './subjects.ts';
import { summarize, timed, type Row } from './table.ts';

const SIZES = { full: { files: 10_000, rounds: 5 }, quick: { files: 500, rounds: 2 } };
const FILE_BYTES = 4096;
const FILES_PER_FOLDER = 50;
const CHANGED_BETWEEN = 10;
const CHANGED_INSIDE = 100;
const LARGE_BYTES = 1024 * 1024;

type Series = Record<'copy' | 'empty' | 'first' | 'again' | 'changed' | 'diff' | 'search' | 'grep' | 'large', number[]>;

/** Measures with projects in `place`, which has to be an allowed root of the server's. A new project each round, because the first copy is measured too. */
export const measureProject = async (server: Server, place: string, size: keyof typeof SIZES): Promise<Row[]> => {
  const { files, rounds } = SIZES[size];
  const series: Series = { copy: [], empty: [], first: [], again: [], changed: [], diff: [], search: [], grep: [], large: [] };
  for (let round = 0; round < rounds; round++) {
    const project = join(place, `project-${round}`);
    makeProject(project, files);
    series.copy.push(await timed(async () => execFileSync('cp', ['-a', project, `${project}-copy`])));
    await measureRound(server, project, files, series);
    for (const path of [project, `${project}-copy`]) rmSync(path, { recursive: true });
  }
  return rowsOf(series, files);
};

const measureRound = async (server: Server, project: string, files: number, into: Series): Promise<void> => {
  let id: unknown;
  const create = async (context: string): Promise<number> => {
    if (id !== undefined) await server.call('sandbox_destroy', { sandbox_id: id });
    return timed(async () => void ({ sandbox_id: id } = await server.call('sandbox_create', { context })));
  };
  into.empty.push(await create('none'));
  into.first.push(await create(project));
  into.again.push(await create(project));
  for (let file = 0; file < CHANGED_BETWEEN; file++) writeFileSync(pathOf(project, (file * 37) % files), textOf(file + files));
  into.changed.push(await create(project));
  const sandbox = { sandbox_id: id };
  const exec = (command: string): Promise<Record<string, unknown>> => server.call('sandbox_exec', { ...sandbox, command });
  await exec(
    `for f in $(find . -name '*.ts' | head -${CHANGED_INSIDE}); do echo changed >> $f; done; head -c ${LARGE_BYTES} /dev/zero | tr '\\0' x > large.txt`,
  );
  into.diff.push(await timed(() => server.call('sandbox_diff', sandbox)));
  into.grep.push(await timed(() => exec(`grep -rnE '(foo|bar)q[tu]x' .`)));
  into.search.push(await timed(() => server.call('sandbox_search', { ...sandbox, pattern: '(foo|bar)q[tu]x' })));
  into.large.push(await timed(() => server.call('sandbox_read', { ...sandbox, path: 'large.txt', max_bytes: LARGE_BYTES })));
  await server.call('sandbox_destroy', sandbox);
};

const makeProject = (project: string, files: number): void => {
  for (let file = 0; file < files; file++) {
    const path = pathOf(project, file);
    if (file % FILES_PER_FOLDER === 0) mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, textOf(file));
  }
  chownSync(project, user.uid, user.gid);
};

const pathOf = (project: string, file: number): string => join(project, `folder${Math.floor(file / FILES_PER_FOLDER)}`, `file${file}.ts`);

const textOf = (seed: number): string => {
  const lines = Array.from({ length: 100 }, (_, line) => `  const value${seed}_${line} = compute(${line}, 'text ${seed * 7 + line}'); // a note\n`);
  return lines.join('').slice(0, FILE_BYTES);
};

const rowsOf = (series: Series, files: number): Row[] => {
  const of = (name: keyof Series) => summarize(series[name]);
  const copied = (what: string, name: 'first' | 'again' | 'changed', most: number): Row => {
    const ratio = (of(name).median - of('empty').median) / of('copy').median;
    const target = { text: `≤ ${most} ×`, holds: ratio <= most };
    return { what: `create with ${files} files, ${what}; cp -a`, unit: 'ms', ours: of(name), peer: of('copy'), result: `${ratio.toFixed(2)} ×`, target };
  };
  const diff = of('diff').median;
  const search = of('search').median / of('grep').median;
  const rate = LARGE_BYTES / 1e6 / (of('large').median / 1000);
  return [
    copied('for the first time', 'first', 1.2),
    copied('unchanged', 'again', 0.15),
    copied(`${CHANGED_BETWEEN} changed`, 'changed', 0.2),
    {
      what: `diff of ${CHANGED_INSIDE} changes`,
      unit: 'ms',
      ours: of('diff'),
      result: `${diff.toFixed(1)} ms`,
      target: { text: '≤ 20 ms', holds: diff <= 20 },
    },
    {
      what: `search ${files} files; grep -r inside`,
      unit: 'ms',
      ours: of('search'),
      peer: of('grep'),
      result: `${search.toFixed(2)} ×`,
      target: { text: '≤ 2 ×', holds: search <= 2 },
    },
    { what: 'read a file of 1 MiB', unit: 'ms', ours: of('large'), result: `${rate.toFixed(0)} MB/s`, target: { text: '≥ 300 MB/s', holds: rate >= 300 } },
  ];
};
