import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, Socket, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectUnix, sendDescriptors } from '../../src/syscall/socket.ts';
import { itWith } from '../requirements.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-socket-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A socket's path that no address holds: more than 107 bytes. */
const longPath = (): string => {
  const deep = join(directory, 'd'.repeat(60), 'e'.repeat(60));
  mkdirSync(deep, { recursive: true });
  return join(deep, 'socket');
};

// A server binds by a short name from within its directory.
const receiver = async (path: string): Promise<{ server: ChildProcess; lines: AsyncIterator<string> }> => {
  const fixture = new URL('../fixtures/receive-descriptors.py', import.meta.url).pathname;
  const server = spawn('python3', [fixture], { cwd: join(path, '..'), stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('listening');
  return { server, lines };
};

itWith(['python3'], 'descriptors arrive with one byte, through a path that is longer than an address', async () => {
  const path = longPath();
  expect(path.length).toBeGreaterThan(107);
  const { server, lines } = await receiver(path);
  const files = ['one', 'two', 'three'].map((text) => {
    writeFileSync(join(directory, text), `content of ${text}`);
    return openSync(join(directory, text), 'r');
  });
  const connection = connectUnix(path);
  sendDescriptors(connection, 123, files);
  for (const fd of files) closeSync(fd);
  writeSync(connection, 'the rest');
  closeSync(connection);
  expect(JSON.parse((await lines.next()).value)).toEqual({
    data: '{the rest',
    contents: ['content of one', 'content of two', 'content of three'],
  });
  if (server.exitCode === null) await once(server, 'exit');
});

it('a connection can be written to and read like any other descriptor', async () => {
  const path = join(directory, 'socket');
  const server = createServer((socket) => socket.end('hello'));
  server.listen(path);
  await once(server, 'listening');
  const connection = connectUnix(path);
  const [text] = await once(new Socket({ fd: connection }), 'data');
  expect(String(text)).toBe('hello');
  await closed(server);
});

it('nobody listening is ECONNREFUSED, no socket ENOENT, and neither leaves a descriptor', async () => {
  const path = join(directory, 'socket');
  const fds = readdirSync('/proc/self/fd').length;
  expect(() => connectUnix(path)).toThrow('connect: ENOENT');
  writeFileSync(path, '');
  expect(() => connectUnix(path)).toThrow('connect: ECONNREFUSED');
  expect(readdirSync('/proc/self/fd').length).toBe(fds);
});

it('a descriptor that is none is refused, and a receiver that is gone is EPIPE without a signal', async () => {
  const path = join(directory, 'socket');
  const server = createServer((socket) => socket.destroy());
  server.listen(path);
  await once(server, 'listening');
  const connection = connectUnix(path);
  expect(() => sendDescriptors(connection, 1, [1_000_000])).toThrow('sendmsg: EBADF');
  await once(server, 'connection');
  await closed(server);
  expect(() => sendDescriptors(connection, 1, [0])).toThrow(/sendmsg: (EPIPE|ECONNRESET)/);
  closeSync(connection);
});

const closed = async (server: Server): Promise<void> => {
  server.close();
  await once(server, 'close');
};
