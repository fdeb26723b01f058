import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBox, shareBoxOf } from './harness/box.ts';
import { makeDirectory, makeHome } from './harness/home.ts';
import { holdingsOf, NOTHING, processesOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';
import { shareServer, startServer, type Server } from './harness/server.ts';

const sentryOf = (server: Server): number => processesOf(server).find(({ commandLine }) => commandLine.startsWith('runsc-sandbox'))!.pid;
const goferOf = (server: Server): number => processesOf(server).find(({ commandLine }) => commandLine.startsWith('runsc-gofer'))!.pid;

describe(`the end of a server, as ${mode}`, () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s in the middle of a command is in order: exit code 0, nothing is left', async (signal) => {
    const server = await startServer();
    const box = await createBox(server);
    await box.exec('setsid sleep 1000 & exit 0');
    box.exec('sleep 1000').catch(() => undefined);
    process.kill(server.pid, signal);
    expect(await server.ended).toBe(0);
    expect([server.look(), server.garbage]).toEqual([NOTHING, []]);
  });

  it('by the end of stdin in the middle of commands is in order', async () => {
    const server = await startServer();
    const box = await createBox(server);
    for (const command of ['sleep 1000', 'yes', 'trap "" TERM; while :; do sleep 1; done']) box.exec(command).catch(() => undefined);
    await expect
      .poll(async () => (await server.call('sandbox_list'))['sandboxes'])
      .toMatchObject([{ running: [{}, {}, {}].map(() => expect.any(String) as string) }]);
    expect(await server.close()).toBe(0);
    expect(server.look()).toEqual(NOTHING);
  });

  it('by the end of stdin in the middle of a create is in order', async () => {
    for (const isFar of [(server: Server) => server.look().state.some((path) => path.endsWith('/run')), (server: Server) => processesOf(server).length > 0]) {
      const server = await startServer();
      server.call('sandbox_create', { context: 'none' }).catch(() => undefined);
      await expect.poll(() => isFar(server), { interval: 1 }).toBe(true);
      expect(await server.close()).toBe(0);
      await expect.poll(() => server.look(), { timeout: 5000 }).toEqual(NOTHING);
    }
  });

  it('by the client’s own end is in order', async () => {
    const sleeper = process.pid; // this process is the client; it lives
    const server = await startServer({ args: ['--clientProcessId', String(sleeper)] });
    await createBox(server);
    expect(processesOf(server).length).toBeGreaterThan(0);
    expect(await server.close()).toBe(0);
    const orphan = await startServer({ args: ['--clientProcessId', '2147483646'] }).catch((error: unknown) => String(error));
    if (typeof orphan !== 'string') expect(await orphan.ended).toBe(0);
  });
});

describe(`two servers of one user, as ${mode}`, () => {
  it('share their directories and nothing else: a sandbox of one does not exist for the other', async () => {
    const home = makeHome();
    const [one, other] = await Promise.all([startServer({ home }), startServer({ home })]);
    const box = await createBox(one);
    const [mine, foreign] = [await box.exec('echo mine'), await createBox(other)];
    for (const [tool, params] of [
      ['sandbox_exec', { command: 'true' }],
      ['sandbox_wait', { exec_id: mine.exec_id }],
      ['sandbox_read', { path: '/tmp' }],
      ['sandbox_destroy', {}],
    ] as const) {
      const error = await refused('SANDBOX_NOT_FOUND', other.call(tool, { sandbox_id: box.id, ...params }));
      const unknown = await refused('SANDBOX_NOT_FOUND', other.call(tool, { sandbox_id: 'sb_000000000000000000000000', ...params }));
      expect(error.message.replace(box.id, ''), 'no difference to one that never was').toBe(unknown.message.replace('sb_000000000000000000000000', ''));
    }
    expect((await other.call('sandbox_list'))['sandboxes']).toMatchObject([{ sandbox_id: foreign.id }]);
    expect(await one.close()).toBe(0);
    expect(await foreign.run('echo still')).toBe('still\n');
    expect(await other.close()).toBe(0);
    expect([one.look(), other.look()]).toEqual([NOTHING, NOTHING]);
  });

  it('many that start and end at once do not get in each other’s way', async () => {
    const home = makeHome();
    const servers = await Promise.all([1, 2, 3, 4].map(() => startServer({ home })));
    const next = await Promise.all(
      servers.map(async (server, index) => (index % 2 === 0 ? (await server.kill(), startServer({ home })) : (await server.close(), startServer({ home })))),
    );
    expect(await Promise.all(next.map((server) => server.close()))).toEqual([0, 0, 0, 0]);
    expect(readdirSync(join(home.stateDir, 'servers'))).toEqual([]);
  });
});

describe(`a sandbox, as ${mode}`, () => {
  const server = shareServer();

  it('whose kernel is killed has failed: calls say so, the list says so, destroy works', async () => {
    const box = await createBox(server());
    const running = box.exec('sleep 1000');
    await expect.poll(async () => (await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [expect.any(String)] }]);
    process.kill(sentryOf(server()), 'SIGKILL');
    const error = await refused('SANDBOX_FAILED', running);
    expect([error.message, error.hint]).toEqual([expect.stringMatching(/kernel has ended/), expect.stringMatching(/sandbox_destroy/)]);
    await refused('SANDBOX_FAILED', box.exec('true'));
    await refused('SANDBOX_FAILED', box.read('/tmp'));
    expect((await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ sandbox_id: box.id, state: 'failed', running: [] }]);
    expect(await box.destroy()).toEqual({ destroyed: true });
    expect(await server().call('sandbox_list')).toMatchObject({ sandboxes: [] });
    await refused('SANDBOX_NOT_FOUND', box.exec('true'));
  });

  it('whose file server is killed has failed as soon as it notices', async () => {
    const box = await createBox(server());
    process.kill(goferOf(server()), 'SIGKILL');
    await box.exec('cat /etc/passwd').catch(() => undefined); // killed with the kernel, or not even begun
    await expect.poll(async () => (await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ sandbox_id: box.id, state: 'failed' }]);
    await refused('SANDBOX_FAILED', box.exec('true'));
    expect(await box.destroy()).toEqual({ destroyed: true });
  });

  it('that is destroyed is gone when the answer comes, twice is no error, and what ran is told as canceled', async () => {
    const before = holdingsOf(server());
    const box = await createBox(server());
    const running = box.exec('sleep 1000');
    await expect.poll(async () => (await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [expect.any(String)] }]);
    const answers = await Promise.all([box.destroy(), box.destroy()]);
    expect(holdingsOf(server()).processes).toEqual([]);
    expect(answers).toEqual([{ destroyed: true }, { destroyed: true }]);
    expect(await running).toMatchObject({ status: 'canceled', exit_code: null });
    expect(await box.destroy()).toEqual({ destroyed: true });
    await refused('SANDBOX_NOT_FOUND', box.exec('true'));
    expect(
      server()
        .look()
        .state.filter((path) => path.includes('/cw-')),
    ).toEqual([]);
    await expect.poll(() => holdingsOf(server())).toEqual(before);
  });

  it('that is made and destroyed many times leaves no descriptor, mount, group or process', async () => {
    await (await createBox(server())).destroy();
    const before = { ...holdingsOf(server()), ...server().look() };
    for (let round = 0; round < 6; round++) {
      const box = await createBox(server());
      await box.exec('echo out; sleep 1000 & exit 3');
      await box.exec('cat', { stdin: 'x', tty: round % 2 === 0, timeout_ms: 300 });
      await box.read('/proc/version');
      await box.destroy();
    }
    await expect.poll(() => ({ ...holdingsOf(server()), ...server().look() })).toEqual(before);
  });

  it('that is canceled while it is made leaves nothing', async () => {
    const before = { ...holdingsOf(server()), ...server().look() };
    const cancelled = new AbortController();
    const call = server().call('sandbox_create', { context: 'none' }, { signal: cancelled.signal });
    await expect.poll(() => processesOf(server()).length, { interval: 1 }).toBeGreaterThan(0);
    cancelled.abort();
    await expect(call).rejects.toThrow(/abort/i);
    await expect.poll(() => ({ ...holdingsOf(server()), ...server().look() })).toEqual(before);
    expect(await server().call('sandbox_list')).toMatchObject({ sandboxes: [], quota: { used: 0 } });
  });

  it('P13 whose tree leads elsewhere by links is removed without anything elsewhere', async () => {
    const outside = makeDirectory('outside', (directory) => {
      mkdirSync(join(directory, 'home'));
      writeFileSync(join(directory, 'home/kept'), 'kept\n');
    });
    const box = await createBox(server());
    await box.run(
      `ln -s ${outside} /workspace/out; ln -s ${outside}/home /tmp/out; ln -s / /home/agent/root; mkdir -p d/e/f; chmod 0 d/e; ln -s /usr /workspace/usr; ln -s /proc/self/root /workspace/magic`,
    );
    await box.destroy();
    expect([existsSync(join(outside, 'home/kept')), existsSync('/usr/bin/env')]).toEqual([true, true]);
  });
});

describe(`many calls at once, as ${mode}`, () => {
  const server = shareServer();
  const box = shareBoxOf(server);

  it('are answered each with its own', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => box().exec(`echo ${index}; exit ${index}`)));
    expect(answers.map(({ stdout, exit_code }) => [stdout, exit_code])).toEqual(Array.from({ length: 40 }, (_, index) => [`${index}\n`, index]));
    expect((await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [], usage: { pids: 0 } }]);
  });
});
