import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, destroyAll, type Box } from '../e2e/harness/box.ts';
import { makeDirectory } from '../e2e/harness/home.ts';
import { mode } from '../e2e/harness/mode.ts';
import { expectNothingOfTheHost, refused } from '../e2e/harness/refusals.ts';
import { shareServer } from '../e2e/harness/server.ts';
import { sections, sharePolicies } from '../e2e/harness/trusted.ts';
import { makeOutside, MARKER } from './outside.ts';

/** a directory of the host, outside of every context, with a marker in files and a name */
let host: string;
let context: string;

beforeAll(() => {
  host = makeOutside(['marker', 'a/marker', 'a/b/outside']);
  context = makeDirectory('work', (directory) => {
    mkdirSync(join(directory, 'there/deep'), { recursive: true });
    for (const name of ['file', 'there/marker', 'there/deep/marker']) writeFileSync(join(directory, name), 'mine\n');
  });
});
const policies = sharePolicies({ overlay: sections({ workspace: { layout: 'overlay' } }), plain: sections({ workspace: { layout: 'plain' } }) });
const server = shareServer(() => ({ args: ['--context', context, '--policies', policies()] }));

// All that a diff shows, whichever way; nothing of it is of the host. A link says where it leads, which a program inside wrote.
const shown = async (box: Box, paths?: readonly string[]): Promise<string> => {
  const texts: string[] = [];
  for (const format of ['summary', 'patch']) {
    const text = JSON.stringify(await server().callRaw('sandbox_diff', { sandbox_id: box.id, format, ...(paths && { paths }) }));
    for (const word of [MARKER, 'outside', Buffer.from(MARKER).toString('base64').slice(0, 20)]) expect(text, String(paths)).not.toContain(word);
    expectNothingOfTheHost(text, server().home, host);
    texts.push(text);
  }
  return texts.join('\n');
};

describe.each(['overlay', 'plain'])(`sandbox_diff stays in the sandbox (%s), as ${mode}`, (policy) => {
  it('P1, P3, P4, P6 by links, linked parents and magic links, in `paths` and in the tree', async () => {
    const box = await createBox(server(), { policy });
    const pid = server().pid;
    await box.run(
      `rm -r there; ln -s ${host} there; ln -sf ${host}/marker file; ln -s /proc/self/root root; ln -s /proc/${pid}/root server; ln -s /proc/self/fd fds; ln -s / top; ln -s . itself; mkfifo pipe; truncate -s 1T sparse`,
    );
    const text = await shown(box);
    for (const name of ['there/deep/marker', 'sparse', 'itself', 'server']) expect(text).toContain(name);
    for (const path of ['there/a', 'there/marker', `root${host}`, `top${host}/a`, 'itself/there/a', 'fds', 'server']) await shown(box, [path]);
    for (const path of [host, '/', '/etc', `../..${host}`, `${context}-evil`])
      await refused('PATH_REFUSED', server().call('sandbox_diff', { sandbox_id: box.id, paths: [path] }));
    await destroyAll(server());
  });

  it('P5 while names are a directory and a link out by turns, all the time', async () => {
    const box = await createBox(server(), { policy });
    await box.run(
      `cp -r there copy; rm -r there; mv copy there; echo inside >> there/marker; ln -s ${host} away; mkdir -p x/y/b; echo inside > x/y/b/marker; ln -s ${host}/a x/z; echo inside >> file; ln -s ${host}/marker link`,
    );
    const swappers = await Promise.all(
      [
        ['there', 'away'],
        ['x/y', 'x/z'],
        ['file', 'link'],
      ].map(([one, other]) => box.swap(one!, other!)),
    );
    const seen = new Set<string>();
    for (let turn = 0; turn < 40; turn++) {
      const text = await shown(box, [undefined, ['there'], ['x/y', 'file'], ['away/deep']][turn % 4]);
      for (const word of text.match(/\+inside|new file mode 120000/g) ?? ['nothing']) seen.add(word);
    }
    expect([...seen].toSorted(), 'both were met').toEqual(expect.arrayContaining(['+inside', 'new file mode 120000']));
    for (const exec_id of swappers) await box.wait(exec_id, { signal: 'KILL' });
    await destroyAll(server());
  });
});
