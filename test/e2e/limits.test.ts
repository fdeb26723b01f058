import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { createBox, destroyAll } from './harness/box.ts';
import { makeHome } from './harness/home.ts';
import { processesOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';
import { shareServer, startServer } from './harness/server.ts';
import { sections, sharePolicies } from './harness/trusted.ts';

const policies = sharePolicies({
  brief: sections({ lifetime: { ttl_s: 60, idle_s: 1, exec_timeout_ms: 3000 } }),
  tight: sections({ limits: { memory_mb: 96, cpus: 0.5, pids: 64, disk_mb: 8, tmp_mb: 4, home_mb: 4, shm_mb: 4 } }),
});
const server = shareServer(() => ({ args: ['--policies', policies(), '--max-sandboxes', '3'] }));
afterEach(() => destroyAll(server()));

const NONE = { context: 'none' };
const GRAB = (mb: number): readonly string[] => ['python3', '-c', `x = bytearray(b"z") * (${mb} << 20); print("had it")`];

describe(`limits, as ${mode}`, () => {
  it('are told as they apply, and may be asked for tighter', async () => {
    const plain = await createBox(server(), { ...NONE, policy: 'scratch' });
    expect(plain.created).toMatchObject({ policy: 'scratch', limits: { memory_mb: 512, cpus: 1, pids: 512, disk_mb: 256 }, context: null });
    const limits = { memory_mb: 300, cpus: 0.5, pids: 100, disk_mb: 10 };
    const tight = await createBox(server(), { ...NONE, limits, ttl_s: 100, label: 'tight ü' });
    expect(tight.created).toMatchObject({ policy: 'offline', limits });
    expect(JSON.parse(await tight.run('cat /run/cellwall/policy.json'))).toMatchObject({ limits, lifetime: { ttl_s: 100 } });
    const { sandboxes } = await server().call('sandbox_list');
    const [, { created_at, expires_at, label }] = sandboxes as [object, Record<string, string>];
    expect([Date.parse(expires_at!) - Date.parse(created_at!), label]).toEqual([100_000, 'tight ü']);
    expect((await tight.exec('df --output=size -m /workspace | tail -1')).stdout.trim()).toBe('10');
  });

  it('of processes hold: a fork fails, the sandbox goes on', async () => {
    const box = await createBox(server(), { ...NONE, limits: { pids: 24 } });
    const fork =
      'import os, signal, time\nn = 0\ntry:\n  while n < 500:\n    if os.fork() == 0: time.sleep(1000)\n    n += 1\nexcept OSError as e: print(n, e.errno)\nos.killpg(0, signal.SIGKILL)';
    const { stdout } = await box.exec(['python3', '-uc', fork]);
    expect(stdout).toMatch(/^(1\d|2[0-3]) 11\n$/);
    await expect.poll(async () => (await box.exec('echo on')).stdout).toBe('on\n');
  });

  it('of memory hold: the command is told as oom_killed, later calls fail with that reason, destroy works', async () => {
    const box = await createBox(server(), { ...NONE, policy: 'tight' });
    expect((await box.exec(GRAB(40))).stdout).toBe('had it\n');
    const { exec_id } = await box.exec('sleep 1000', { wait_ms: 0 });
    expect(await box.exec(GRAB(2000))).toMatchObject({ status: 'oom_killed', exit_code: null, signal: 'SIGKILL' });
    for (const call of [() => box.exec('true'), () => box.read('/workspace'), () => box.wait(exec_id, { stdin: 'x' })]) {
      const error = await refused('SANDBOX_FAILED', call());
      expect(error.message).toMatch(/more than the 96 MB of memory/);
      expect(error.hint).toMatch(/sandbox_destroy/);
    }
    expect((await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ state: 'failed', running: [], usage: { memory_mb: null } }]);
    expect(await box.destroy()).toEqual({ destroyed: true });
    expect(processesOf(server())).toEqual([]);
  });

  it('of memory do not count what fills the disk', async () => {
    const box = await createBox(server(), { ...NONE, limits: { memory_mb: 128 } });
    await box.run('head -c 300M /dev/zero > /workspace/large; head -c 200M /dev/zero > /tmp/large');
    expect(await box.run('stat -c %s /workspace/large')).toBe('314572800\n');
    const { sandboxes } = await server().call('sandbox_list');
    expect(sandboxes).toMatchObject([{ usage: { disk_mb: 300, memory_mb: expect.toSatisfy((mb: number) => mb < 128) as number, pids: 0 } }]);
  });

  it('of processors are those of the group on the host, or a warning says that they are not enforced', async () => {
    const box = await createBox(server(), { ...NONE, limits: { cpus: 0.5 } });
    const [sentry] = processesOf(server()).filter(({ commandLine }) => commandLine.startsWith('runsc-sandbox'));
    const groups = readFileSync(`/proc/${sentry!.pid}/cgroup`, 'utf8');
    if (/cellwall-cw-/.test(groups)) expect(quotasOf(groups)).toContain(0.5);
    else expect(box.created['warnings']).toContainEqual(expect.stringMatching(/watched.*cpus is not enforced/));
  });

  it('of sandboxes hold, and a destroyed one makes room', async () => {
    const boxes = await Promise.all([1, 2, 3].map(() => createBox(server(), { ...NONE, policy: 'tight' })));
    const error = await refused('QUOTA_EXCEEDED', server().call('sandbox_create', NONE));
    expect([error.message, error.retryable]).toEqual([expect.stringContaining('3 sandboxes are there'), true]);
    expect(await server().call('sandbox_list')).toMatchObject({ quota: { used: 3, max: 3 } });
    await boxes[0]!.destroy();
    await createBox(server(), NONE);
    await destroyAll(server());
    expect(await server().call('sandbox_list')).toMatchObject({ sandboxes: [], quota: { used: 0 } });
  });
});

describe(`the lifetime, as ${mode}`, () => {
  it('ends a sandbox with all that runs in it: a command is told as canceled, later calls as expired', async () => {
    const box = await createBox(server(), { ...NONE, ttl_s: 1 });
    const { exec_id } = await box.exec('sleep 1000 & exit 0');
    expect(await box.exec('sleep 1000', { timeout_ms: 0 })).toMatchObject({ status: 'canceled', exit_code: null });
    const error = await refused('SANDBOX_EXPIRED', box.exec('true'));
    expect(error.hint).toMatch(/sandbox_create/);
    await refused('SANDBOX_EXPIRED', box.read('/tmp'));
    await refused('SANDBOX_EXPIRED', box.wait(exec_id));
    expect(await server().call('sandbox_list')).toMatchObject({ sandboxes: [], quota: { used: 0 } });
    await expect.poll(() => processesOf(server())).toEqual([]);
    expect(await box.destroy()).toEqual({ destroyed: true });
  });

  it('that is idle ends by itself, and a command that runs keeps it alive, what it left does not', async () => {
    const box = await createBox(server(), { ...NONE, policy: 'brief' });
    expect((await box.exec('sleep 2; echo kept')).stdout).toBe('kept\n');
    await box.exec('sleep 1000 & exit 0');
    await expect.poll(() => server().call('sandbox_list'), { timeout: 10_000 }).toMatchObject({ sandboxes: [] });
    await refused('SANDBOX_EXPIRED', box.exec('true'));
    await refused('LIMIT_EXCEEDED', server().call('sandbox_create', { ...NONE, policy: 'brief', ttl_s: 61 }));
  });

  it('of a command is no longer than the policy allows, also where nothing is asked for', async () => {
    const box = await createBox(server(), { ...NONE, policy: 'brief' });
    expect(await box.read('/proc/version')).toMatchObject({ type: 'file' });
    expect(await box.exec('sleep 1000')).toMatchObject({ status: 'timed_out' });
    expect((await refused('LIMIT_EXCEEDED', box.exec('true', { timeout_ms: 3001 }))).message).toMatch(/3001 exceeds the 3000/);
  });
});

it('a policy that an operator makes the default is the default, and one that is refused is not listed', async () => {
  const home = makeHome();
  const own = await startServer({ home, args: ['--policies', policies(), '--policy', 'tight'] });
  const box = await createBox(own, NONE);
  expect(box.created).toMatchObject({ policy: 'tight', limits: { memory_mb: 96 } });
  expect(await own.close()).toBe(0);
});

// Processors that the groups of a process may use, of either version.
const quotasOf = (groups: string): readonly number[] =>
  groups.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = line.split(':');
    const directory = controllers === '' ? `/sys/fs/cgroup${path}` : `/sys/fs/cgroup/${controllers.includes('cpu,') ? controllers : 'cpu'}${path}`;
    if (!path.includes('cellwall-cw-') || !readdirSync('/sys/fs/cgroup').length) return [];
    const read = (file: string): string => {
      try {
        return readFileSync(`${directory}/${file}`, 'utf8').trim();
      } catch {
        return '';
      }
    };
    const [quota, period] = read('cpu.max') === '' ? [read('cpu.cfs_quota_us'), read('cpu.cfs_period_us')] : read('cpu.max').split(' ');
    return [Number(quota) / Number(period)];
  });
