/** The control socket of a server: the same JSON-RPC as on stdin and stdout, for the operator alone. It lies in the server's own directory, which no sandbox sees. */
import { once } from 'node:events';
import { chmodSync, closeSync, constants, openSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { log } from '../log.ts';
import type { Ask, Question } from '../tool.ts';
import type { JsonRpcOptions } from './jsonrpc.ts';

export interface ControlOptions extends Pick<JsonRpcOptions, 'dispatch' | 'info'> {
  /** of the server, 0700 */
  readonly directory: string;
  /** whether who connected, by the descriptor of the connection, is the operator */
  readonly isOperator: (socket: number) => boolean;
}

export interface Control {
  /** ends all connections and removes the socket */
  close(): Promise<void>;
}

/** its name in the server's directory */
export const SOCKET = 'control.sock';
/** The request by which the server asks the operator; its answer is whether they agree. */
export const ASK = 'operator.ask';
const MOST_CONNECTIONS = 16;

/** Listens. A server that cannot have a socket goes on without one. */
export const serveControl = async (options: ControlOptions): Promise<Control> => {
  // Through a descriptor: a socket's path may be longer than the 107 bytes that an address holds.   man 7 unix
  const directory = openSync(options.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', (error) => log.debug({ err: error }, 'a control connection failed')).on('close', () => connections.delete(socket));
    void serveConnection(socket, options).catch((error: unknown) => {
      log.error({ err: error }, 'a control connection failed');
      socket.destroy();
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  const close = async (): Promise<void> => {
    connections.forEach((socket) => socket.destroy());
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    closeSync(directory);
  };
  try {
    server.listen(`/proc/self/fd/${directory}/${SOCKET}`);
    await once(server, 'listening');
    chmodSync(join(options.directory, SOCKET), 0o600);
    server.unref();
    server.on('error', (error) => log.warn({ err: error }, 'the control socket reports'));
  } catch (error) {
    log.warn({ err: error }, 'there is no control socket: cellwall ls, diff and apply do not see this server');
  }
  return { close };
};

const serveConnection = async (socket: Socket, { dispatch, info, isOperator }: ControlOptions): Promise<void> => {
  const descriptor = descriptorOf(socket);
  if (descriptor === null || !isOperator(descriptor)) {
    log.warn('a control connection of somebody else was refused');
    return void socket.destroy();
  }
  const { serveJsonRpc } = await import('./jsonrpc.ts');
  const ask =
    (connection: { sendRequest(method: string, question: Question): Promise<unknown> }): Ask =>
    async (question) =>
      (await connection.sendRequest(ASK, question)) === true;
  const served = serveJsonRpc({ dispatch, info, ask, wire: { input: socket, output: socket } });
  await served.ended;
  served.close();
  socket.destroy();
};

// Node shows it nowhere else.
const descriptorOf = (socket: Socket): number | null => {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : null;
};
