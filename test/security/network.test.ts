import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server as Listener } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { shareBox } from '../e2e/harness/box.ts';
import { mode } from '../e2e/harness/mode.ts';

const addresses = (): readonly string[] => Object.values(networkInterfaces()).flatMap((found) => (found ?? []).map(({ address }) => address));
const hasIp6 = addresses().includes('::1');

const heard: string[] = [];
const open: { close(): void }[] = [];
let port = 0;
const ABSTRACT = `cellwall-test-${process.pid}`;
let path: string;
const box = shareBox();

const hear = (listener: Listener, what: string): void => {
  open.push(listener);
  listener.on('connection', (socket) => {
    heard.push(what);
    socket.destroy();
  });
};

// On every address of this machine, by TCP and UDP at one port; and by a unix socket of both kinds.
beforeAll(async () => {
  const tcp = createServer();
  hear(tcp, 'tcp');
  tcp.listen({ port: 0, host: hasIp6 ? '::' : '0.0.0.0' });
  await once(tcp, 'listening');
  ({ port } = tcp.address() as AddressInfo);
  const udp: DatagramSocket = createSocket(hasIp6 ? 'udp6' : 'udp4');
  open.push(udp);
  udp.on('message', (_message, { port: back, address }) => {
    heard.push('udp');
    udp.send('pong', back, address);
  });
  udp.bind(port);
  await once(udp, 'listening');
  path = join(inject('runDirectory'), `socket-${process.pid}`);
  for (const [address, what] of [
    [`\0${ABSTRACT}`, 'abstract'],
    [path, 'path'],
  ] as const) {
    const unix = createServer();
    hear(unix, what);
    unix.listen(address);
    await once(unix, 'listening');
  }
});
afterAll(() => {
  for (const one of open) one.close();
});

describe(`N1 none means none, as ${mode}`, () => {
  it('a program reaches nobody: not the host by any address, not a network, not a resolver, not a socket of another kind', async () => {
    expect(await box().python('reach.py', String(port), ABSTRACT, path, ...addresses())).toBe('done\n');
    expect(heard).toEqual([]);
  });

  it('and the listeners of this test do hear, so that silence is a proof', async () => {
    for (const address of [...['127.0.0.1', ...(hasIp6 ? ['::1'] : [])].map((host) => ({ host, port })), { path: `\0${ABSTRACT}` }, { path }]) {
      const socket = createConnection(address);
      await once(socket, 'close');
    }
    const udp = createSocket('udp4');
    open.push(udp);
    udp.send('ping', port, '127.0.0.1');
    await once(udp, 'message');
    expect(heard.toSorted()).toEqual(['abstract', 'path', 'tcp', ...(hasIp6 ? ['tcp'] : []), 'udp']);
  });

  it('a port that a program opens inside is not one of the host', async () => {
    const serve = 'import socket, time; s = socket.socket(); s.bind(("0.0.0.0", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(1000)';
    const exec_id = await box().begin(['python3', '-c', serve], /\d+\n/);
    const inside = Number(await box().run(['cat', `/run/cellwall/${exec_id}/stdout`]));
    const socket = createConnection({ host: '127.0.0.1', port: inside });
    const outcome = await Promise.race([once(socket, 'connect').then(() => 'connected'), once(socket, 'error').then(() => 'refused')]).catch(() => 'refused');
    expect(outcome).toBe('refused');
    expect(await box().run(['python3', '-c', `import socket; socket.create_connection(("127.0.0.1", ${inside})); print("met")`])).toBe('met\n');
    await box().wait(exec_id, { signal: 'KILL' });
  });
});
