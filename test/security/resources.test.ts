import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, shareBoxOf, type Box } from '../e2e/harness/box.ts';
import { processesOf } from '../e2e/harness/looks.ts';
import { mode } from '../e2e/harness/mode.ts';
import { shareServer } from '../e2e/harness/server.ts';

const server = shareServer();
/** lives through all of it: whatever another sandbox does, this one is answered */
const bystander = shareBoxOf(server);
let box: Box;

// A new one for those tests that wear theirs out.
const fresh = async (limits = {}): Promise<Box> => (box = await createBox(server(), { context: 'none', limits }));

/** What the server may grow by while a sandbox does its worst, in MB. It holds no output in memory. */
const MOST_GROWTH_MB = 150;
const memoryOfServer = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server().pid}/status`, 'utf8'))![1]) / 1024;
let before = 0;
beforeAll(() => {
  before = memoryOfServer();
});

const expectOthersAnswered = async (): Promise<void> => {
  expect(await bystander().run('echo answered')).toBe('answered\n');
  expect(await bystander().read('/tmp')).toMatchObject({ type: 'directory' });
  expect(memoryOfServer() - before).toBeLessThan(MOST_GROWTH_MB);
};

describe(`D1 whatever a program does, the server answers others, as ${mode}`, () => {
  it('a fork bomb is stopped by the limit and ended by its time-out, with all of it', async () => {
    await fresh({ pids: 300 });
    const bomb = box.exec('bomb() { bomb | bomb & }; bomb; bomb; sleep 1000', { timeout_ms: 3000 });
    await expectOthersAnswered();
    expect(await bomb).toMatchObject({ status: 'timed_out', signal: 'SIGKILL' });
    await expectOthersAnswered();
    expect(await box.run('echo free again; ls /proc | grep -cE "^[0-9]+$"')).toMatch(/^free again\n[234]\n$/);
    await box.destroy();
  });

  it('processes that ignore every signal, hop between sessions and are left behind are ended with their sandbox', async () => {
    await fresh({ pids: 300 });
    const code =
      'import os, signal, time\nfor s in range(1, 32):\n  try: signal.signal(s, signal.SIG_IGN)\n  except OSError: pass\nfor _ in range(100):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(1000)';
    expect(await box.exec(['python3', '-c', code])).toMatchObject({ status: 'exited', exit_code: 0 });
    await expectOthersAnswered();
    expect((await server().call('sandbox_list'))['sandboxes']).toMatchObject([
      {},
      { running: [expect.any(String)], usage: { pids: expect.toSatisfy((pids: number) => pids >= 100) as number } },
    ]);
    expect(await box.destroy()).toEqual({ destroyed: true });
    expect(processesOf(server()).filter(({ commandLine }) => commandLine.startsWith('runsc-'))).toHaveLength(2);
  });

  it('an allocation of 10 GiB ends its sandbox alone, by name', async () => {
    await fresh({ memory_mb: 256 });
    const grab = box.exec(['python3', '-c', 'x = [bytearray(b"z") * (1 << 26) for _ in range(160)]']);
    await expectOthersAnswered();
    expect(await grab).toMatchObject({ status: 'oom_killed' });
    await expectOthersAnswered();
    await box.destroy();
  });

  it('`yes` at full rate, on both streams, is bounded on the disk and in memory', async () => {
    await fresh();
    const { exec_id } = await box.exec('yes out & yes err >&2 & wait', { wait_ms: 0, timeout_ms: 0 });
    for (let turn = 0; turn < 4; turn++) {
      await expectOthersAnswered();
      expect(await box.wait(exec_id, { wait_ms: 100 })).toMatchObject({ status: 'running' });
    }
    await expect.poll(async () => (await box.wait(exec_id, { wait_ms: 100 })).stdout_bytes, { timeout: 30_000 }).toBeGreaterThan(60 << 20);
    for (const stream of ['stdout', 'stderr'])
      expect(await box.read(`/run/cellwall/${exec_id}/${stream}`, { limit: 1 })).toMatchObject({
        size: expect.toSatisfy((size: number) => size < 50 << 20) as number,
      });
    expect(await box.wait(exec_id, { signal: 'KILL' })).toMatchObject({ status: 'signaled' });
    await box.destroy();
  });

  it('a line of 256 MB and a byte at a time are told exactly', async () => {
    await fresh();
    const line = box.exec('head -c 256M /dev/zero | tr "\\0" x', { wait_ms: 45_000 });
    await expectOthersAnswered();
    const bytes = await box.exec(['python3', '-c', 'import os\nfor _ in range(2000): os.write(1, b"x")']);
    expect(bytes).toMatchObject({ stdout: 'x'.repeat(2000), stdout_bytes: 2000 });
    expect(await line).toMatchObject({ status: 'exited', stdout_bytes: 2 ** 28, truncated: true });
    await expectOthersAnswered();
    await box.destroy();
  });

  it('input that is never read, as much as a message holds, is given up with its command', async () => {
    await fresh();
    const { exec_id } = await box.exec('sleep 1000', { keep_stdin: true, wait_ms: 0, stdin: 'x'.repeat(5_000_000) });
    for (let turn = 0; turn < 4; turn++) await box.wait(exec_id, { stdin: 'y'.repeat(5_000_000), wait_ms: 0 });
    await expectOthersAnswered();
    expect(await box.wait(exec_id, { signal: 'KILL' })).toMatchObject({ status: 'signaled' });
    await box.destroy();
  });

  it('full disks and used up inodes are the sandbox’s own', async () => {
    await fresh({ disk_mb: 8 });
    const { stdout } = await box.exec('for d in /workspace /dev/shm; do head -c 100M /dev/zero > $d/full; done 2>&1 | grep -c "No space left"');
    expect(stdout).toBe('2\n');
    await expectOthersAnswered();
    expect(await box.exec('echo still; echo x > /workspace/more')).toMatchObject({
      stdout: 'still\n',
      exit_code: 1,
      stderr: expect.stringContaining('No space left') as string,
    });
    await box.run('rm -f /workspace/full /dev/shm/full; echo room > /workspace/more');
    const [files, why] = (await box.python('fill.py', 'inodes', '/workspace')).trim().split(' ');
    expect([why, Number(files) < 8 * 256 + 1]).toEqual(['ENOSPC', true]);
    await expectOthersAnswered();
    await box.destroy();
  });

  it('many short processes, and the zombies that they are until somebody waits, leave nothing', async () => {
    await fresh({ pids: 200 });
    const code =
      'import os, time\nkids = 0\nwhile kids < 600:\n  try:\n    if os.fork() == 0: os._exit(0)\n    kids += 1\n  except BlockingIOError:\n    while True:\n      try: os.waitpid(-1, os.WNOHANG)[0] or 1 / 0\n      except (ChildProcessError, ZeroDivisionError): break\nprint(kids)';
    expect(await box.run(['python3', '-c', code], { wait_ms: 45_000 })).toBe('600\n');
    await expectOthersAnswered();
    await box.destroy();
  });
});

it(`D1 many commands at once in one sandbox, each with its output, as ${mode}`, async () => {
  await fresh();
  const running = await Promise.all(Array.from({ length: 30 }, (_, index) => box.exec(`seq ${index} 3000 ; sleep 1000`, { wait_ms: 0, timeout_ms: 0 })));
  await expectOthersAnswered();
  expect(await box.destroy()).toEqual({ destroyed: true });
  expect(new Set(running.map(({ exec_id }) => exec_id)).size).toBe(30);
  await expectOthersAnswered();
});
