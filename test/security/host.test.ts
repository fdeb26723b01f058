import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, destroyAll, type Box } from '../e2e/harness/box.ts';
import { makeHome } from '../e2e/harness/home.ts';
import { installation } from '../e2e/harness/installation.ts';
import { mountsOf, processesOf } from '../e2e/harness/looks.ts';
import { identity, mode, user } from '../e2e/harness/mode.ts';
import { shareServer, startServer } from '../e2e/harness/server.ts';

const FIXTURE = readFileSync(join(import.meta.dirname, '../fixtures/meet.py'), 'utf8');
const CANARY = 'canary-of-the-server';
const server = shareServer(() => ({ env: { CANARY, AWS_SECRET_ACCESS_KEY: CANARY } }));
let boxes: readonly [Box, Box];
beforeAll(async () => {
  boxes = [await createBox(server()), await createBox(server())];
});

const status = (pid: number, field: string): readonly string[] =>
  new RegExp(`^${field}:[ \\t]*(.*)$`, 'm')
    .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!
    .split(/\s+/)
    .filter(Boolean);
// The processes of the runtime, by the sandbox whose name is at the end of their command lines.
const runtimeProcesses = (): ReadonlyMap<string, readonly number[]> => {
  const named = processesOf(server()).filter(({ commandLine }) => commandLine.startsWith('runsc-'));
  const keyOf = (commandLine: string): string => commandLine.split(' ').at(-1)!;
  return new Map(
    [...new Set(named.map(({ commandLine }) => keyOf(commandLine)))].map((key) => [
      key,
      named.filter(({ commandLine }) => keyOf(commandLine) === key).map(({ pid }) => pid),
    ]),
  );
};

describe(`I8 the runtime on the host, as ${mode}`, () => {
  it('is two processes a sandbox, none of them root, none with a capability over the host', () => {
    expect([...runtimeProcesses().values()].map((pids) => pids.length)).toEqual([2, 2]);
    const ours = readFileSync('/proc/self/uid_map', 'utf8');
    for (const { pid } of processesOf(server())) {
      const ids = [...status(pid, 'Uid'), ...status(pid, 'Gid'), ...status(pid, 'Groups')].map(Number);
      if (mode === 'root')
        expect(
          ids.every((id) => id >= 0x7000_0000),
          `${pid}: ${ids.join(' ')}`,
        ).toBe(true);
      else expect(new Set(ids.slice(0, 8)), `${pid}`).toEqual(new Set([user.uid]));
      // Capabilities in another user namespace than ours are none over the host.
      const isEmpty = /^0+$/.test(status(pid, 'CapEff')[0]!);
      expect(isEmpty || readFileSync(`/proc/${pid}/uid_map`, 'utf8') !== ours, `${pid}`).toBe(true);
    }
  });

  it('has ids of its own for each sandbox where root can give them', () => {
    const ids = [...runtimeProcesses().values()].map((pids) => new Set(pids.flatMap((pid) => status(pid, 'Uid'))));
    if (mode === 'root') expect([...ids[0]!].filter((id) => ids[1]!.has(id))).toEqual([]);
    else expect(ids).toEqual([new Set([String(user.uid)]), new Set([String(user.uid)])]);
  });

  it('holds no file of the server: not its wire, not its log, not its directory, not its environment', () => {
    if (process.getuid!() !== 0) return; // descriptors of others are root's to see
    const wire = ['0', '1', '2'].map((fd) => readlinkSync(`/proc/${server().pid}/fd/${fd}`));
    for (const { pid } of processesOf(server())) {
      const held = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(
        held.filter((file) => wire.includes(file) || /\/lock$|server\.json/.test(file)),
        `${pid}`,
      ).toEqual([]);
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(CANARY);
    }
  });

  it('shows no handle of a sandbox, no command and no variable to those who list processes', async () => {
    const ran = boxes[0].exec(`sleep 2; echo ${CANARY}`, { env: { SECRET: CANARY } });
    const lines = processesOf(server()).map(({ commandLine }) => commandLine);
    expect(lines.filter((line) => line.includes(CANARY) || line.includes(boxes[0].id))).toEqual([]);
    await ran;
  });

  it('leaves no mount in the namespace of the host', () => {
    expect(mountsOf('self').filter((point) => point.includes('cw-') || point.startsWith(server().home.directory))).toEqual([]);
  });
});

describe(`I5 one sandbox and another, as ${mode}`, () => {
  it('share no file, process, socket, port, memory and key, while a program of the same sandbox finds them', async () => {
    const [one, other] = boxes;
    const exec_id = await one.begin(['python3', '-c', FIXTURE, 'leave', 'meet.py'], /left/);
    expect(await other.run(['python3', '-', 'look'], { stdin: FIXTURE })).toBe('done\n');
    const found = (await one.run(['python3', '-', 'look'], { stdin: FIXTURE })).trim().split('\n');
    expect(found).toEqual(
      expect.arrayContaining(['/tmp/meet', '/dev/shm/meet', 'abstract socket', 'socket in /tmp', 'port of loopback', 'shared memory', 'semaphore', 'process']),
    );
    await one.wait(exec_id, { signal: 'KILL' });
  });

  it('share no file with the host: what a program leaves is not there', async () => {
    for (const path of ['/tmp/of-the-sandbox', '/dev/shm/of-the-sandbox', '/var/tmp/of-the-sandbox']) {
      await boxes[0].run(['touch', path]);
      expect(spawnSync('ls', [path]).status, path).not.toBe(0);
    }
  });
});

describe(`I7 the mark of a server that has closed itself off, as ${mode}`, () => {
  it('is not believed when somebody planted it', async () => {
    const handover = JSON.stringify({ uid: 0, runsc: { path: '/bin/true' } });
    const own = await startServer({ env: { CELLWALL_ENCLOSED: '1:1', CELLWALL_HANDOVER: handover } });
    const box = await createBox(own);
    expect(box.created).toMatchObject({ runtime: 'gvisor' });
    expect(mountsOf('self').filter((point) => point.includes('cw-'))).toEqual([]);
    expect(await own.close()).toBe(0);
  });

  it('with the right process in it ends the server, which has not closed itself off, before anything is served', async () => {
    const home = makeHome();
    const { node, root } = installation();
    const plant = 'export CELLWALL_ENCLOSED="$$:$(stat -Lc %i /proc/self/ns/mnt)" CELLWALL_HANDOVER=\'{"uid":0,"runsc":{"path":"/bin/true"}}\'; exec "$@"';
    const child = spawn('sh', ['-c', plant, 'sh', node, join(root, 'dist/src/main.js')], {
      ...identity,
      cwd: home.directory,
      env: { ...home.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => said.push(text));
    const [code] = (await once(child, 'close')) as [number];
    expect([code, said.join('')]).toEqual([1, expect.stringMatching(/namespaces/)]);
    expect(said.join('')).not.toMatch(/"jsonrpc"/);
  });
});

it(`I2 nothing of the server is left when all its sandboxes are gone, as ${mode}`, async () => {
  await destroyAll(server());
  expect(processesOf(server())).toEqual([]);
});
