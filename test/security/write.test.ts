import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { shareBox } from '../e2e/harness/box.ts';
import { CallError } from '../e2e/harness/client.ts';
import { makeDirectory } from '../e2e/harness/home.ts';
import { mode } from '../e2e/harness/mode.ts';
import { expectNothingOfTheHost } from '../e2e/harness/refusals.ts';
import { makeOutside, MARKER } from './outside.ts';

/** a directory of the host, outside of every context, which the server could write */
let host: string;
let context: string;

beforeAll(() => {
  host = makeOutside();
  context = makeDirectory('work', (directory) => writeFileSync(join(directory, 'file'), 'mine\n'));
});
const box = shareBox(
  () => ({}),
  () => ({ args: ['--context', context] }),
);

/** All that is below the host's directory: names, times, contents. */
const hostTree = (): string[] =>
  readdirSync(host, { recursive: true, encoding: 'utf8' })
    .map((name) => join(host, name))
    .toSorted()
    .map((path) => `${path} ${statSync(path, { bigint: true }).ctimeNs} ${statSync(path).isFile() ? readFileSync(path, 'utf8') : ''}`);

// What comes of writing to a path, whichever way: `written`, or the code of the refusal.
const write = async (path: string, content = 'from the client\n'): Promise<Set<string>> => {
  const outcomes = new Set<string>();
  for (const params of [
    { content },
    { content, mode: '777' },
    { edits: [{ old_text: 'secret', new_text: 'told' }] },
    { content, expected_sha256: '0'.repeat(64) },
  ]) {
    const outcome = await box()
      .server.call('sandbox_write', { sandbox_id: box().id, path, ...params })
      .then(
        () => 'written',
        (error: unknown) => error,
      );
    if (outcome instanceof Error) {
      if (!(outcome instanceof CallError)) throw outcome;
      expect(outcome.message, path).not.toContain(MARKER);
      expectNothingOfTheHost(outcome.message.replaceAll(path, ''), box().server.home);
      outcomes.add(outcome.code);
    } else outcomes.add(String(outcome));
  }
  return outcomes;
};

describe(`sandbox_write stays in the sandbox, as ${mode}`, () => {
  it('P1, P2, P3, P4, P6 by dots, twins of the context’s name, links, linked parents and magic links', async () => {
    const before = hostTree();
    const pid = box().server.pid;
    await box().run(
      `ln -sfn ${host}/marker link; ln -sfn ${host} parent; ln -sfn / root; ln -sfn ../../../../../../../.. up; ln -sfn /proc/self/root self; ln -sfn /proc/${pid}/root server; ln -sfn /proc/self/fd fds; ln -sfn itself itself`,
    );
    // The host's directory lies below /tmp: what is written there by its path is written to the sandbox's own /tmp.
    for (const path of [
      `${'../'.repeat(20)}${host}/marker`,
      `..foo/../../..${host}/marker`,
      `${host}/marker`,
      `${host}/new/file`,
      `${context}-evil/file`,
      'link',
      'parent/marker',
      'parent/a/b/marker',
      'parent/x/y/new',
      `root${host}/marker`,
      `up${host}/a/new`,
    ])
      await write(path);
    for (const path of [
      `self${host}/marker`,
      `server${host}/marker`,
      `/proc/self/root${host}/marker`,
      'fds/1',
      'itself',
      '/usr/bin/new',
      '/etc/passwd',
      '/run/cellwall/policy.json',
    ])
      expect([...(await write(path))], path).not.toContain('written');
    expect(await write('root/workspace/file')).toContain('written');
    expect(await box().run(`cat file ${host}/marker`)).toBe('from the client\nfrom the client\n');
    await box().run(`rm -rf ${dirname(host)}`); // the sandbox's own
    expect(hostTree()).toEqual(before);
  });

  it('P5 while names are a directory and a link out by turns, all the time', async () => {
    const before = hostTree();
    await box().run(
      `mkdir -p race/there/deep race/x/y && echo inside > race/there/marker && ln -sfn ${host} race/away && ln -sfn ${host}/a race/x/z && echo inside > race/file && ln -sfn ${host}/marker race/link && echo inside > race/own && echo inside > /tmp/own && ln -sfn /tmp/own race/leads`,
    );
    const swappers = await Promise.all(
      [
        ['race/there', 'race/away'],
        ['race/x/y', 'race/x/z'],
        ['race/file', 'race/link'],
        ['race/own', 'race/leads'],
      ].map(([one, other]) => box().swap(one!, other!)),
    );
    const seen = new Set<string>();
    for (let turn = 0; turn < 25; turn++)
      for (const path of ['race/there/marker', 'race/there/new/below/file', 'race/x/y/marker', 'race/file', 'race/away/deep/file', 'race/own'])
        for (const outcome of await write(path)) seen.add(outcome);
    expect(seen, box().server.stderr().slice(-3000)).not.toContain('INTERNAL');
    expect([...seen].toSorted(), 'both were met').toEqual(expect.arrayContaining(['PATH_REFUSED', 'written']));
    expect(hostTree()).toEqual(before);
    for (const exec_id of swappers) await box().wait(exec_id, { signal: 'KILL' });
    expect(await box().run("find race -name '.cellwall*'; stat -c %U $(find race -type f) | sort -u; rm -rf race")).toBe('agent\n');
  });
});
