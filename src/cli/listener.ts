/** A web server of this machine that writes down which words it was asked for: what gets out of a sandbox would be heard here. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** words that it was asked for, in their order */
  readonly heard: readonly string[];
  close(): void;
}

/** Listens on an address of this machine: one of its network, where it has one, because inside a sandbox loopback is another. */
export const listen = async (): Promise<Listener> => {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(request.url?.slice(1) ?? '');
    response.end('thank you\n');
  });
  const host = addressOfNetwork() ?? '127.0.0.1';
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { host, port, heard, close };
};

const addressOfNetwork = (): string | undefined =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
