import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createBox } from './harness/box.ts';
import { makeHome } from './harness/home.ts';
import { installation } from './harness/installation.ts';
import { NOTHING, processesOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { startServer, type Server } from './harness/server.ts';

/** Resolves as soon as something is seen, looking all the time: a moment may be short. */
const until = async (isThere: () => boolean): Promise<void> => {
  for (const end = Date.now() + 20_000; !isThere(); await setImmediate()) if (Date.now() > end) throw new Error('the moment did not come');
};

// A list as soon as nothing is left in it, or as it is after a while.
const lasting = async (list: () => readonly string[]): Promise<readonly string[]> => {
  for (const end = Date.now() + 5000; ; await setTimeout(20)) {
    const seen = list();
    if (seen.length === 0 || Date.now() > end) return seen;
  }
};

const state = (server: Server, pattern: RegExp): boolean => server.look().state.some((path) => pattern.test(path));
const runs = (server: Server, pattern: RegExp): boolean => processesOf(server).some(({ commandLine }) => pattern.test(commandLine));
const ignoring = (call: Promise<unknown>): void => void call.catch(() => undefined); // its server dies under it

type Reach = (server: Server) => Promise<unknown>;

// Begins to make a sandbox and comes back as soon as something is seen of that.
const creating =
  (isThere: (server: Server) => boolean, params: object = { context: 'none' }): Reach =>
  async (server) => {
    ignoring(server.call('sandbox_create', { ...params }));
    await until(() => isThere(server));
  };

/** What is under way when the server is killed. */
const WORKING: readonly (readonly [moment: string, reach: Reach])[] = [
  ['before its first call', async () => {}],
  ['when a sandbox is made', (server) => createBox(server)],
  [
    'while commands run and others were left behind',
    async (server) => {
      const box = await createBox(server);
      await box.exec('setsid sleep 1000 & exit 0');
      await box.exec('trap "" TERM HUP INT; while :; do sleep 1; done', { wait_ms: 0 });
      await box.exec('yes', { wait_ms: 0 });
      await box.exec('bash -i', { tty: true, wait_ms: 0 });
    },
  ],
  [
    'while a fork bomb goes off',
    async (server) => {
      const box = await createBox(server, { context: 'none', limits: { pids: 200 } });
      await box.exec('bomb() { bomb | bomb & }; bomb; wait', { wait_ms: 500 });
    },
  ],
  [
    'while a sandbox is destroyed',
    async (server) => {
      const box = await createBox(server);
      await box.exec('sleep 1000', { wait_ms: 0 });
      ignoring(box.destroy());
      await setImmediate();
    },
  ],
];

const CREATING: readonly (readonly [moment: string, reach: Reach])[] = [
  ['while the context is copied', creating((server) => state(server, /\/cw-\w+\/run$/), {})],
  ['when the bundle is written', creating((server) => state(server, /\.bundle\/config\.json$/))],
  ['when `runsc create` runs', creating((server) => runs(server, / create --bundle /))],
  ['when the gofer runs', creating((server) => runs(server, /^runsc-gofer/))],
  ['when the sentry runs', creating((server) => runs(server, /^runsc-sandbox/))],
  ['when runsc has written its record', creating((server) => state(server, /_sandbox:cw-\w+\.state$/))],
];

const killed = async (reach: Reach): Promise<Server> => {
  const server = await startServer({ args: ['--context', import.meta.dirname] });
  await reach(server);
  server.look();
  await server.kill();
  return server;
};

const expectRemoved = async (dead: Server): Promise<void> => {
  const next = await startServer({ home: dead.home });
  expect(await next.call('sandbox_list')).toMatchObject({ sandboxes: [] });
  expect(await next.close()).toBe(0);
  expect([dead.look(), next.look()]).toEqual([NOTHING, NOTHING]);
};

describe(`D3 after kill -9 of the server, as ${mode}`, () => {
  it.each(WORKING)('%s: all that it ran ends by itself, and the next server removes the rest', async (_moment, reach) => {
    const server = await killed(reach);
    expect(await lasting(() => server.look().processes)).toEqual([]);
    expect(server.look().mounts).toEqual([]);
    await expectRemoved(server);
  });

  // Until gVisor has started pid 1 nothing in it notices that the server is gone.
  it.each(CREATING)('%s: the next server ends and removes all of it', async (_moment, reach) => {
    const server = await killed(reach);
    expect(server.look().mounts).toEqual([]);
    await expectRemoved(server);
  });
});

it(`a mistake of the server that nobody caught ends its sandboxes and itself, and says so, as ${mode}`, async () => {
  const server = await startServer({ env: { NODE_OPTIONS: `--import=${join(installation().root, 'test/fixtures/fail-on-signal.mjs')}` } });
  const box = await createBox(server);
  await box.exec('sleep 1000', { wait_ms: 0 });
  process.kill(server.pid, 'SIGUSR2');
  expect(await server.ended).toBe(1);
  expect(server.stderr()).toMatch(/"level":60.*planted.*a mistake in the server/);
  expect(server.look()).toEqual(NOTHING);
});

it(`D3 another server that lives is left alone, as ${mode}`, async () => {
  const home = makeHome();
  const [first, second] = [await startServer({ home }), await startServer({ home })];
  const boxes = [await createBox(first), await createBox(second)];
  await first.kill();
  const third = await startServer({ home });
  expect(await boxes[1]!.run('echo alive')).toBe('alive\n');
  expect(await second.call('sandbox_list')).toMatchObject({ sandboxes: [{ sandbox_id: boxes[1]!.id }] });
  expect([await second.close(), await third.close()]).toEqual([0, 0]);
  expect(third.look()).toEqual(NOTHING);
});
