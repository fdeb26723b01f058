import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ClientKind } from './harness/client.ts';
import { makeDirectory, makeHome } from './harness/home.ts';
import { NOTHING, processesOf, watchHost } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { startServer } from './harness/server.ts';

const project = (): string =>
  makeDirectory('project', (directory) => {
    mkdirSync(join(directory, 'src'));
    writeFileSync(join(directory, 'hello.txt'), 'hello\nworld\n');
    writeFileSync(join(directory, 'src/main.sh'), 'echo "from main"\n', { mode: 0o755 });
    writeFileSync(join(directory, '.env'), 'TOKEN=secret\n');
    symlinkSync('hello.txt', join(directory, 'link.txt'));
  });

describe.each<ClientKind>(['1.x', 'legacy', 'modern'])(`the main job, server as ${mode}, client %s`, (client) => {
  it('a sandbox is made from a project, works, is read, and is gone without a trace', async () => {
    const context = project();
    const home = makeHome();
    const look = watchHost(home);
    const server = await startServer({ home, client, args: ['--context', context] });

    const created = await server.call('sandbox_create', { label: 'main job' });
    expect(created).toMatchObject({ policy: 'offline', runtime: 'gvisor', network: 'none', workspace: '/workspace', context: { files: 3, skipped_count: 1 } });
    const sandbox_id = String(created['sandbox_id']);

    const ran = await server.call('sandbox_exec', { sandbox_id, command: 'sh src/main.sh; cat link.txt; id -un >&2; exit 3' });
    expect(ran).toMatchObject({ status: 'exited', exit_code: 3, signal: null, stdout: 'from main\nhello\nworld\n', stderr: 'agent\n', truncated: false });

    await server.call('sandbox_exec', { sandbox_id, argv: ['sh', '-c', 'echo made > made.txt'] });
    expect(await server.call('sandbox_read', { sandbox_id, path: 'made.txt' })).toMatchObject({ type: 'file', size: 5, total_lines: 1, mode: '0644' });
    const { content, structuredContent } = await server.callRaw('sandbox_read', { sandbox_id, path: 'made.txt' });
    expect([content.map(({ text }) => text).join('\n'), structuredContent]).toEqual([expect.stringMatching(/^file, 5 bytes.*\nmade\n$/), undefined]);

    const { sandboxes, quota } = await server.call('sandbox_list');
    expect(sandboxes).toMatchObject([{ sandbox_id, label: 'main job', state: 'running', running: [] }]);
    expect(quota).toMatchObject({ used: 1 });
    expect(look().processes.length).toBeGreaterThan(1);

    expect(await server.call('sandbox_destroy', { sandbox_id })).toEqual({ destroyed: true });
    expect(processesOf(server)).toEqual([]);
    expect(await server.call('sandbox_list')).toMatchObject({ sandboxes: [], quota: { used: 0 } });

    expect(await server.close()).toBe(0);
    expect(look()).toEqual(NOTHING);
    expect(server.garbage).toEqual([]);
  });
});

it('a client that goes away leaves nothing: its sandboxes end with the server', async () => {
  const home = makeHome();
  const look = watchHost(home);
  const server = await startServer({ home });
  const { sandbox_id } = await server.call('sandbox_create', { context: 'none' });
  await server.call('sandbox_exec', { sandbox_id, command: 'sleep 1000 & exit 0' });
  look();
  expect(await server.close()).toBe(0);
  expect(look()).toEqual(NOTHING);
});

it('an error of the contract arrives with its code and what to do', async () => {
  const server = await startServer();
  await expect(server.call('sandbox_exec', { sandbox_id: 'sb_there_is_none', command: 'true' })).rejects.toMatchObject({
    code: 'SANDBOX_NOT_FOUND',
    retryable: false,
    hint: expect.stringContaining('sandbox_create') as string,
  });
  await expect(server.call('sandbox_create', { context: 'none', policy: 'none_such' })).rejects.toMatchObject({ code: 'POLICY_UNKNOWN' });
  expect(await server.close()).toBe(0);
});

it('without a runsc a create says that `cellwall setup` is needed', async () => {
  const server = await startServer({ home: makeHome({ runsc: false }), env: { PATH: '/nonexistent' } });
  const failed = server.call('sandbox_create', { context: 'none' });
  await expect(failed).rejects.toMatchObject({ code: 'RUNTIME_UNAVAILABLE', hint: expect.stringContaining('cellwall setup') as string });
  expect(await server.close()).toBe(0);
});
