import { expect, it, vi } from 'vitest';
import { makeHome } from './harness/home.ts';
import { NOTHING, processesOf, watchHost } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { startServer } from './harness/server.ts';

it(`D3 after kill -9 of the server its sandboxes end by themselves, and the next server removes what is left, as ${mode}`, async () => {
  const home = makeHome();
  const look = watchHost(home);
  const server = await startServer({ home });
  const { sandbox_id } = await server.call('sandbox_create', { context: 'none' });
  await server.call('sandbox_exec', { sandbox_id, command: 'sleep 1000 & exit 0' });
  expect(processesOf(server).length).toBeGreaterThan(0);
  const alive = look();
  expect(alive.processes.length).toBeGreaterThan(1);
  expect(alive.state.length).toBeGreaterThan(0);

  await server.kill();
  await vi.waitFor(() => expect(look()).toMatchObject({ processes: [], mounts: [] }), { timeout: 20_000 });
  expect(look().state.length).toBeGreaterThan(0);

  const next = await startServer({ home });
  expect(await next.call('sandbox_list')).toMatchObject({ sandboxes: [] });
  expect(await next.close()).toBe(0);
  expect(look()).toEqual(NOTHING);
});
