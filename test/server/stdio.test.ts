import { execFileSync, spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client as ModernClient } from '@modelcontextprotocol/client';
import { StdioClientTransport as ModernTransport } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { log } from '../../src/log.ts';
import { createDispatch } from '../../src/server/dispatch.ts';
import { createFrameSplitter } from '../../src/server/frames.ts';
import { MAX_MESSAGE_BYTES } from '../../src/server/messages.ts';
import { serveStdio } from '../../src/server/stdio.ts';
import { tools } from '../../tools/index.ts';
import { createFakeSessions } from '../fixtures/fake-sessions.ts';
import { itWith } from '../requirements.ts';

vi.setConfig({ testTimeout: 20_000 });

const root = fileURLToPath(new URL('../..', import.meta.url));
const SERVER = `${root}node_modules/.cache/cellwall-fixtures/test/fixtures/stdio-server.js`;
const sandbox_id = 'sb_0123456789abcdefghij';

beforeAll(() => {
  const built = spawnSync(`${root}node_modules/.bin/tsc`, ['-p', `${root}test/fixtures`], { encoding: 'utf8' });
  expect(built.stdout + built.stderr).toBe('');
});

interface Run {
  child: ChildProcessByStdio<Writable, Readable, Readable>;
  send: (message: object) => void;
  /** resolves with the exit code and all that was said */
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

const start = (options: object = {}): Run => {
  const child = spawn(process.execPath, [SERVER, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  child.stdin.on('error', () => {}); // the server may go first
  return {
    child,
    send: (message) => void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, ...said })),
  };
};

const exec = (id: number, command: string) => ({ id, method: 'tools/call', params: { name: 'sandbox_exec', arguments: { sandbox_id, command } } });

describe('stdio', () => {
  test('stdout carries the protocol only, whatever else is printed', async () => {
    const { child, send, ended } = start();
    send(exec(1, 'chatter'));
    await once(child.stdout, 'data');
    child.stdin.end();
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(stdout)).toMatchObject({ id: 1, result: { structuredContent: { stdout: 'quiet\n' } } });
    expect(stderr).toContain('this is no protocol');
    expect(stderr).toContain('nor is this');
  });

  test('the end of stdin ends it with exit code 0, also in the middle of a call', async () => {
    const { child, send, ended } = start();
    send(exec(1, 'hang'));
    send({ id: 2, method: 'ping' });
    await once(child.stdout, 'data');
    child.stdin.end();
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toContain('CANCELED');
    expect(stderr).toContain('end of stdin');
  });

  test('a message over 10 MB ends it with exit code 1 and the reason in the log', async () => {
    const { child, ended } = start();
    child.stdin.end(Buffer.alloc(MAX_MESSAGE_BYTES + 1, 'x'));
    const { code, stdout, stderr } = await ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('a message is longer than 10485760 bytes');
  });

  test('a client that closes stdout ends it', async () => {
    const { child, send, ended } = start();
    send({ id: 1, method: 'ping' });
    await once(child.stdout, 'data');
    child.stdout.destroy();
    send({ id: 2, method: 'ping' });
    expect((await ended).code).toBe(0);
  });

  test.each([true, false])('a client whose process is gone ends it, though stdin is open (has it said something: %s)', async (hasSpoken) => {
    const client = spawn('sleep', ['60']);
    const { child, send, ended } = start({ clientProcessId: client.pid });
    if (hasSpoken) {
      send({ id: 1, method: 'ping' });
      await once(child.stdout, 'data');
    }
    client.kill('SIGKILL');
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toContain(`process ${client.pid} is gone`);
  });

  test('a client that does not read is no reason to stop hearing that it is gone', async () => {
    const { child, ended } = start();
    child.stdout.pause();
    for (let id = 0; id < 300; id++) child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...exec(id, 'x'.repeat(2000)) })}\n`);
    child.stdin.end();
    await once(child, 'exit');
    child.stdout.resume();
    expect((await ended).code).toBe(0);
  });
});

describe('stdio with frames', () => {
  const framed = (message: object): Buffer => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    return Buffer.from(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const bodiesOf = (stdout: string): unknown[] => createFrameSplitter(Infinity)(Buffer.from(stdout)).map((body) => JSON.parse(body.toString()) as unknown);
  const call = (id: number, command: string) => framed({ id, method: 'sandbox.exec', params: { sandbox_id, command } });

  test.each(['Content-Length', 'content-length'])('a first byte as in %s means frames, and stdout carries nothing else', async (name) => {
    const { child, ended } = start();
    child.stdin.write(call(1, 'chatter').toString().replace('Content-Length', name));
    await once(child.stdout, 'data');
    child.stdin.end();
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);
    expect(bodiesOf(stdout)).toMatchObject([{ id: 1, result: { stdout: 'quiet\n' } }]);
    for (const said of ['this is no protocol', 'nor is this', 'end of stdin']) expect(stderr).toContain(said);
  });

  test('the end of stdin in the middle of a call ends it with exit code 0', async () => {
    const { child, ended } = start();
    child.stdin.write(Buffer.concat([call(1, 'hang'), framed({ id: 2, method: 'server.info' })]));
    await once(child.stdout, 'data');
    child.stdin.end();
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toContain('end of stdin');
  });

  test('a message over 10 MB ends it with exit code 1 and the reason in the log, before it has come', async () => {
    const { child, ended } = start();
    child.stdin.write('Content-Length: 11000000\r\n\r\n{');
    const { code, stdout, stderr } = await ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('a message of 11000000 bytes is longer than 10485760');
  });

  test('a client that closes stdout ends it', async () => {
    const { child, ended } = start();
    child.stdin.write(call(1, 'x'));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    child.stdin.write(call(2, 'x'));
    expect((await ended).code).toBe(0);
  });

  itWith(['mkfifo'], 'a client that does not read its pipe is no reason to stop hearing that it is gone', async () => {
    const pipe = join(mkdtempSync(join(tmpdir(), 'cellwall-stdio-')), 'pipe');
    execFileSync('mkfifo', [pipe]);
    const fd = openSync(pipe, 'r+'); // both ends: what is written there stays there
    const child = spawn(process.execPath, [SERVER, '{}'], { stdio: ['pipe', fd, 'ignore'] });
    for (let id = 0; id < 100; id++) child.stdin!.write(call(id, 'x'.repeat(2000)));
    child.stdin!.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
    closeSync(fd);
    rmSync(dirname(pipe), { recursive: true });
  });
});

test('a client that is gone before it said anything is heard', async () => {
  const { child, ended } = start();
  child.stdin.end();
  expect((await ended).code).toBe(0);
});

test('another reason to end cancels what runs and is told', async () => {
  log.level = 'silent';
  const info = vi.spyOn(log, 'info');
  const wire = { input: new PassThrough(), output: new PassThrough() };
  const dispatch = createDispatch(tools, { sessions: createFakeSessions(), principal: 'me' });
  let end = (_reason: string): void => {};
  const until = new Promise<{ reason: string; exitCode: 0 }>((resolve) => (end = (reason) => resolve({ reason, exitCode: 0 })));
  const serving = serveStdio({
    dispatch,
    wire,
    info: { name: 'cellwall', version: '1.2.3', policies: [], runtimes: [] },
    version: '1.2.3',
    toolResults: 'both',
    dottedNames: false,
    until,
  });
  for (const message of [exec(1, 'hang'), { id: 2, method: 'ping' }]) wire.input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  await once(wire.output, 'data');
  end('SIGTERM');
  expect(await serving).toEqual({ reason: 'SIGTERM', exitCode: 0 });
  expect(info.mock.calls.map(([line]) => line)).toContainEqual(expect.objectContaining({ method: 'sandbox.exec', outcome: 'CANCELED' }));
  expect(wire.input.isPaused()).toBe(true);
});

describe('clients that nobody here wrote', () => {
  const parameters = { command: process.execPath, args: [SERVER, '{}'], stderr: 'ignore' as const };
  const job = async (
    client: { listTools: () => Promise<{ tools: { name: string }[] }> },
    call: (name: string, args: object) => Promise<unknown>,
  ): Promise<void> => {
    expect((await client.listTools()).tools).toHaveLength(tools.length);
    expect(await call('sandbox_create', { context: 'none', policy: null })).toMatchObject({ structuredContent: { sandbox_id } });
    expect(await call('sandbox_exec', { sandbox_id, command: 'fail' })).toMatchObject({ structuredContent: { exit_code: 37 } });
    expect(await call('sandbox_read', { sandbox_id, path: 'a.txt' })).toMatchObject({
      content: [{ type: 'text' }],
      _meta: { 'cellwall/result': { size: 17 } },
    });
    expect(await call('sandbox_read', { sandbox_id, path: 'dot.png' })).toMatchObject({ content: [{ type: 'text' }, { type: 'image' }] });
    expect(await call('sandbox_list', {})).toMatchObject({ structuredContent: { quota: { used: 1 } } });
    expect(await call('sandbox_exec', { sandbox_id: 'sb_x', command: 'true' })).toMatchObject({
      isError: true,
      _meta: { 'cellwall/error': { code: 'SANDBOX_NOT_FOUND' } },
    });
    await expect(call('sandbox_nothing', {})).rejects.toMatchObject({ code: -32602 });
    expect(await call('sandbox.destroy', { sandbox_id })).toMatchObject({ structuredContent: { destroyed: true } });
  };

  test('the SDK of the 1.x line lists and calls every tool', async () => {
    const client = new OldClient({ name: 'test', version: '1' });
    await client.connect(new OldTransport(parameters));
    await job(client, (name, args) => client.callTool({ name, arguments: { ...args } }));
    await client.close();
  });

  test.each([
    ['legacy', 'legacy', /^2025-/],
    ['modern, at once', { pin: '2026-07-28' }, /^2026-07-28$/],
    ['modern, after asking', 'auto', /^2026-07-28$/],
  ] as const)('the client of the 2.x line lists and calls every tool (%s)', async (_name, mode, version) => {
    const client = new ModernClient({ name: 'test', version: '1' }, { capabilities: {}, versionNegotiation: { mode } });
    await client.connect(new ModernTransport(parameters));
    expect(client.getNegotiatedProtocolVersion()).toMatch(version);
    await job(client, (name, args) => client.callTool({ name, arguments: { ...args } }));
    await client.close();
  });

  test('an aborted call ends, and the connection serves on', async () => {
    const client = new ModernClient({ name: 'test', version: '1' }, { capabilities: {}, versionNegotiation: { mode: 'auto' } });
    await client.connect(new ModernTransport(parameters));
    const abort = new AbortController();
    const pending = client.callTool({ name: 'sandbox_exec', arguments: { sandbox_id, command: 'hang' } }, { signal: abort.signal });
    abort.abort('enough');
    await expect(pending).rejects.toThrow();
    expect(await client.callTool({ name: 'sandbox_exec', arguments: { sandbox_id, command: 'echo' } })).toMatchObject({
      structuredContent: { stdout: 'echo\n' },
    });
    await client.close();
  });
});
