import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { ERRORS } from '../../src/errors.ts';
import * as protocol from '../../src/protocol.ts';
import { createFrameSplitter } from '../../src/server/frames.ts';
import { startFramedServer, type FramedServer } from './harness/framed.ts';
import { makeDirectory } from './harness/home.ts';
import { NOTHING, processesOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';

const { Output, SandboxCreate, SandboxDestroy, SandboxExec, SandboxList, SandboxRead, SandboxWait, SandboxWrite } = protocol;

// A server with one sandbox, and commands in it.
const start = async (context = 'none', onEnd?: (end: () => Promise<void>) => void) => {
  const server = startFramedServer({ args: context === 'none' ? [] : ['--context', context] }, onEnd);
  const { connection } = server;
  const created = await connection.sendRequest(SandboxCreate, { context });
  const sandbox = { sandbox_id: created.sandbox_id };
  server.look();
  const exec = (command: string, more: Partial<protocol.ParamsOf<typeof SandboxExec>> = {}, source?: CancellationTokenSource) =>
    connection.sendRequest(SandboxExec, { ...sandbox, command, ...more }, source?.token);
  return { server, connection, created, sandbox, exec };
};

// One for the tests that leave it as it was.
let shared: Awaited<ReturnType<typeof start>>;
const atEnd: (() => Promise<void>)[] = [];
beforeAll(async () => {
  shared = await start('none', (end) => void atEnd.push(end));
});
afterAll(async () => {
  const exitCode = await shared?.server.close();
  for (const end of atEnd) await end();
  expect({ exitCode, left: shared?.server.look() }).toEqual({ exitCode: 0, left: NOTHING });
});

// The output that comes with a token.
const listen = ({ connection }: FramedServer, token: string | number) => {
  const parts: protocol.OutputPart[] = [];
  connection.onProgress(Output, token, (part) => void parts.push(part));
  return {
    parts,
    text: (stream: string): string =>
      parts
        .filter((part) => part.stream === stream)
        .map(({ text }) => text)
        .join(''),
  };
};

const failureOf = async (request: Promise<unknown>): Promise<{ code: number; data: protocol.ErrorData }> => {
  const answer = await request.catch((error: unknown) => error);
  expect(answer).toBeInstanceOf(Error);
  return answer as { code: number; data: protocol.ErrorData };
};

describe(`over frames, server as ${mode}`, () => {
  it('the main job is done, and nothing is left', async () => {
    const context = makeDirectory('project', (directory) => {
      mkdirSync(join(directory, 'src'));
      writeFileSync(join(directory, 'src/main.sh'), 'echo "from main"\n', { mode: 0o755 });
    });
    const { server, connection, created, sandbox, exec } = await start(context);
    expect(created).toMatchObject({ policy: 'offline', runtime: 'gvisor', network: 'none', context: { files: 1 } });
    expect(await connection.sendRequest(protocol.GetServerInfo)).toMatchObject({ name: 'cellwall', policies: expect.arrayContaining(['offline']) as string[] });
    const { text } = listen(server, 'main');
    expect(await exec("sh src/main.sh; printf '\\033[1mbold\\n'; exit 3", { progress_token: 'main' })).toMatchObject({ status: 'exited', exit_code: 3 });
    expect(text('stdout')).toBe('from main\n\x1b[1mbold\n');
    expect(await connection.sendRequest(SandboxWrite, { ...sandbox, path: 'a', content: 'made\n' })).toMatchObject({ created: true });
    expect(await connection.sendRequest(SandboxRead, { ...sandbox, path: 'a' })).toMatchObject({ type: 'file', content: 'made\n' });
    expect((await connection.sendRequest(SandboxList, {})).quota.used).toBe(1);
    expect(await connection.sendRequest(SandboxDestroy, sandbox)).toEqual({ destroyed: true });
    expect(processesOf(server)).toEqual([]);
    expect(await server.close()).toBe(0);
    expect(server.look()).toEqual(NOTHING);
    for (const body of createFrameSplitter(Infinity)(server.stdout())) expect(JSON.parse(body.toString())).toMatchObject({ jsonrpc: '2.0' });
  });

  it('each error has its number', async () => {
    const { connection, sandbox, exec } = shared;
    const failures: Readonly<Partial<Record<protocol.ErrorData['code'], () => Promise<unknown>>>> = {
      SANDBOX_NOT_FOUND: () => connection.sendRequest(SandboxExec, { sandbox_id: 'sb_nobody', command: 'true' }),
      EXEC_NOT_FOUND: () => connection.sendRequest(SandboxWait, { ...sandbox, exec_id: 'ex_nobody' }),
      PATH_NOT_FOUND: () => connection.sendRequest(SandboxRead, { ...sandbox, path: 'no/such/file' }),
      CONTEXT_REFUSED: () => connection.sendRequest(SandboxCreate, { context: '/etc' }),
      POLICY_UNKNOWN: () => connection.sendRequest(SandboxCreate, { context: 'none', policy: 'none_such' }),
      LIMIT_EXCEEDED: () => exec('true', { timeout_ms: 1e9 }),
      INVALID_PARAMS: () => connection.sendRequest('sandbox.exec', { ...sandbox, command: 7 }),
    };
    for (const [code, fail] of Object.entries(failures)) {
      const { code: number, data } = await failureOf(fail());
      expect([data.code, number, typeof data.retryable, data.hint !== '']).toEqual([code, ERRORS[data.code].rpc, 'boolean', true]);
    }
  });
});

describe('output on its way', () => {
  it('comes while the command runs', async () => {
    const { server, connection, sandbox, exec } = shared;
    const { parts } = listen(server, 1);
    const running = exec('echo begun; read -r line; echo "got $line"', { keep_stdin: true, progress_token: 1 });
    await vi.waitUntil(() => parts.length > 0, { timeout: 20_000 });
    const execId = (await connection.sendRequest(SandboxList, {})).sandboxes[0]!.running[0]!;
    await connection.sendRequest(SandboxWait, { ...sandbox, exec_id: execId, stdin: 'it\n', wait_ms: 0 });
    expect((await running).status).toBe('exited');
    expect(parts.map(({ text }) => text)).toEqual(['begun\n', 'got it\n']);
  });

  it('is the whole of it, however much, with what is no UTF-8 as U+FFFD', async () => {
    const { server, exec } = shared;
    const { parts, text } = listen(server, 'all');
    const result = await exec("seq 1 300000; printf 'caf\\303'; sleep 0.1; printf '\\251\\377\\n'; echo end >&2", { progress_token: 'all' });
    const wanted = `${Array.from({ length: 300_000 }, (_, line) => `${line + 1}\n`).join('')}café\uFFFD\n`;
    const told = parts.length;
    expect(hash(text('stdout'))).toBe(hash(wanted));
    expect(text('stderr')).toBe('end\n');
    expect(result).toMatchObject({ stdout_bytes: Buffer.byteLength(wanted) - 2, truncated: true });
    await exec('true');
    expect(parts).toHaveLength(told);
  });

  it('of a command that runs on is the whole of it over all calls together, as are the answers', async () => {
    const { server, connection, sandbox, exec } = shared;
    const { text } = listen(server, 'parts');
    const asked = { progress_token: 'parts', wait_ms: 50, max_output_bytes: 1_000_000 };
    const answers = [await exec('i=0; while [ $i -lt 50000 ]; do echo "é $i"; i=$((i+1)); done', asked)];
    while (answers.at(-1)!.status === 'running')
      answers.push(await connection.sendRequest(SandboxWait, { ...sandbox, exec_id: answers[0]!.exec_id, ...asked }));
    const wanted = Array.from({ length: 50_000 }, (_, line) => `é ${line}\n`).join('');
    expect(hash(answers.map(({ stdout }) => stdout).join(''))).toBe(hash(wanted));
    expect(hash(text('stdout'))).toBe(hash(wanted));
  });

  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

  it('waits for a client that does not read, in no more memory than before', async () => {
    const { server, exec } = await start();
    const { parts, text } = listen(server, 'slow');
    const megabytes = 60;
    const before = memoryOf(server.pid);
    const running = exec(`yes | head -c ${megabytes}M`, { progress_token: 'slow' });
    await vi.waitUntil(() => parts.length > 0, { timeout: 20_000 });
    const readOn = server.stopReading();
    await untilIdle(server.pid);
    readOn();
    expect((await running).status).toBe('exited');
    expect(text('stdout')).toHaveLength(megabytes * 1024 * 1024);
    expect(memoryOf(server.pid) - before).toBeLessThan(megabytes * 1024);
  });

  // The most that it ever had in memory, in KiB.   man 5 proc, VmHWM
  const memoryOf = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

  // Until it has written nothing for some looks. What it writes is root's to see; others look on without it.   man 5 proc, /proc/pid/io
  const untilIdle = async (pid: number): Promise<void> => {
    const written = (): string => (process.getuid!() === 0 ? (/wchar: \d+/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[0] ?? '') : '');
    let [last, looks] = [written(), 0];
    await vi.waitUntil(
      () => {
        looks = written() === last ? looks + 1 : 0;
        last = written();
        return looks === 5;
      },
      { timeout: 20_000 },
    );
  };
});

describe('a cancellation', () => {
  const canceled = { code: protocol.REQUEST_CANCELLED, data: { code: 'CANCELED' } };

  it('of a command ends all that it started', async () => {
    const { server, exec } = shared;
    const { parts } = listen(server, 'c');
    const source = new CancellationTokenSource();
    const failure = failureOf(exec('setsid sleep 1000 & sleep 1000 & echo begun; sleep 1000', { progress_token: 'c' }, source));
    await vi.waitUntil(() => parts.length > 0, { timeout: 20_000 });
    source.cancel();
    expect(await failure).toMatchObject(canceled);
    expect((await exec('cat /proc/[0-9]*/comm')).stdout).not.toContain('sleep');
  });

  it('of a wait ends only the wait', async () => {
    const { connection, sandbox, exec } = shared;
    const { exec_id } = await exec('read -r line; echo "$line"', { keep_stdin: true, wait_ms: 0 });
    const source = new CancellationTokenSource();
    const failure = failureOf(connection.sendRequest(SandboxWait, { ...sandbox, exec_id }, source.token));
    source.cancel();
    expect(await failure).toMatchObject(canceled);
    expect(await connection.sendRequest(SandboxWait, { ...sandbox, exec_id, stdin: 'alive\n' })).toMatchObject({ status: 'exited', stdout: 'alive\n' });
  });

  it('of a create leaves nothing, whenever it comes', async () => {
    const server = startFramedServer();
    const { connection } = server;
    for (const turns of [0, 1, 10, 100]) {
      const source = new CancellationTokenSource();
      const created = connection.sendRequest(SandboxCreate, { context: 'none' }, source.token);
      for (let turn = 0; turn < turns; turn++) await connection.sendRequest(protocol.GetServerInfo);
      source.cancel();
      const answer = await created.catch((error: unknown) => error);
      if (answer instanceof Error) expect(answer).toMatchObject(canceled);
      else await connection.sendRequest(SandboxDestroy, { sandbox_id: (answer as { sandbox_id: string }).sandbox_id });
    }
    expect(await connection.sendRequest(SandboxList, {})).toMatchObject({ sandboxes: [], quota: { used: 0 } });
    expect(processesOf(server)).toEqual([]);
    expect(await server.close()).toBe(0);
    expect(server.look()).toEqual(NOTHING);
  });
});

describe('a client that vanishes', () => {
  it.each([
    [
      'a command',
      (server: FramedServer, sandbox: { sandbox_id: string }) =>
        server.connection.sendRequest(SandboxExec, { ...sandbox, command: 'echo begun; sleep 1000', progress_token: 'v' }),
    ],
    [
      'output that nobody reads',
      (server: FramedServer, sandbox: { sandbox_id: string }) =>
        server.connection.sendRequest(SandboxExec, { ...sandbox, command: 'yes', progress_token: 'v' }),
    ],
  ])('in the middle of %s leaves nothing', async (_what, begin) => {
    const { server, sandbox } = await start();
    const { parts } = listen(server, 'v');
    begin(server, sandbox).catch(() => undefined);
    await vi.waitUntil(() => parts.length > 0, { timeout: 20_000 });
    server.look();
    server.vanish();
    expect(await server.ended).toBe(0);
    expect(server.look()).toEqual(NOTHING);
  });

  it('while it does not read is noticed', async () => {
    const { server, exec } = await start();
    const { parts } = listen(server, 'v');
    exec('yes', { progress_token: 'v' }).catch(() => undefined);
    await vi.waitUntil(() => parts.length > 0, { timeout: 20_000 });
    server.stopReading();
    expect(await server.close()).toBe(0);
    expect(server.look()).toEqual(NOTHING);
  });
});
