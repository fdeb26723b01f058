/** A disk that is full inside, through the front door: ENOSPC for programs, DISK_FULL for sandbox_write, and everything else goes on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, type Box } from './harness/box.ts';
import { makeDirectory } from './harness/home.ts';
import { mode } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { shareServer } from './harness/server.ts';
import { sections, sharePolicies } from './harness/trusted.ts';

let context: string;
beforeAll(() => {
  context = makeDirectory('project', (directory) => {
    mkdirSync(join(directory, 'src'));
    for (const name of ['a', 'b', 'c']) writeFileSync(join(directory, 'src', name), `${name}\n`);
  });
});
const SMALL = { limits: { disk_mb: 4, tmp_mb: 2 } };
const policies = sharePolicies({
  overlay: sections({ workspace: { layout: 'overlay' }, ...SMALL }),
  plain: sections({ workspace: { layout: 'plain' }, ...SMALL }),
});
const server = shareServer(() => ({ args: ['--context', context, '--policies', policies()] }));

/** What there is no room for: bytes, or entries. */
const FILLS = {
  bytes: 'head -c 100M /dev/zero > full/big',
  entries: 'mkdir $(seq -f full/%g 3000)',
} as const;

const write = (box: Box, path: string, content = 'by the host\n') => server().call('sandbox_write', { sandbox_id: box.id, path, content });
const changesOf = async (box: Box): Promise<string[]> =>
  ((await server().call('sandbox_diff', { sandbox_id: box.id, paths: ['src'] }))['changes'] as { path: string; change: string }[]).map(
    ({ path, change }) => `${change} ${path}`,
  );

describe.each(['overlay', 'plain', 'empty'] as const)(`a full workspace (%s), as ${mode}`, (layout) => {
  it.each(Object.entries(FILLS))('of %s is told inside and outside, and all else goes on', async (_, fill) => {
    const box = await createBox(server(), layout === 'empty' ? { context: 'none', policy: 'plain' } : { policy: layout });
    if (layout === 'empty') await box.run('mkdir src; for name in a b c; do echo $name > src/$name; done');
    await box.run('echo changed >> src/a; mkdir full');
    expect((await box.exec(fill)).stderr).toContain('No space left on device');
    for (const [path, content] of [
      ['new/deep/file', 'x'],
      ['src/new', 'x'],
      ['full/another', 'x'.repeat(200_000)],
    ] as const) {
      const { message } = await refused('DISK_FULL', write(box, path, content));
      expectNothingOfTheHost(message, server().home);
    }
    const edit = { sandbox_id: box.id, path: 'src/b', edits: [{ old_text: 'b', new_text: 'x'.repeat(500_000) }] };
    await refused('DISK_FULL', server().call('sandbox_write', edit));

    expect(await box.run('cat src/a src/b src/c; ls -A src; find . -name file -o -name another -o -name ".cell*"')).toBe('a\nchanged\nb\nc\na\nb\nc\n');
    expect(JSON.stringify(await server().callRaw('sandbox_read', { sandbox_id: box.id, path: 'src/a' }))).toContain('a\\nchanged');
    expect(await server().call('sandbox_search', { sandbox_id: box.id, pattern: 'changed' })).toMatchObject({ files: ['src/a'] });
    expect(await changesOf(box)).toEqual(layout === 'empty' ? ['added src/a', 'added src/b', 'added src/c'] : ['modified src/a']);
    expect(await write(box, '/tmp/elsewhere')).toMatchObject({ created: true });
    expect(await write(box, '/home/agent/elsewhere')).toMatchObject({ created: true });
    await box.run('rm -r full');
    expect(await write(box, 'new/deep/file')).toMatchObject({ created: true });
    expect(await box.run('cat new/deep/file; echo x > src/b; cat src/b')).toBe('by the host\nx\n');
    await box.destroy();
  });
});

it(`a full /tmp and home are their own, as ${mode}`, async () => {
  const box = await createBox(server(), { policy: 'plain' });
  for (const place of ['/tmp', '/home/agent', '/dev/shm']) {
    expect((await box.exec(`cat /dev/zero > ${place}/big`)).stderr).toContain('No space left on device');
    await refused('DISK_FULL', write(box, `${place}/new/file`, 'x'.repeat(9000)));
    expect(await write(box, 'file')).toMatchObject({ path: expect.any(String) as string });
    expect(await box.run(`find ${place} -name file; echo on; rm ${place}/big`)).toBe('on\n');
    await write(box, `${place}/new/file`);
  }
  await box.destroy();
});
