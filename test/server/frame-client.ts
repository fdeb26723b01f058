/** A client that writes raw frames and knows nothing of vscode-jsonrpc. */
import { PassThrough } from 'node:stream';
import { createDispatch } from '../../src/server/dispatch.ts';
import { createFrameSplitter } from '../../src/server/frames.ts';
import { serveJsonRpc } from '../../src/server/jsonrpc.ts';
import { tools } from '../../tools/index.ts';
import { createFakeSessions, type Printed } from '../fixtures/fake-sessions.ts';
import type { Message } from './mcp-client.ts';

export const INFO = { name: 'cellwall', version: '1.2.3', policies: ['offline', 'scratch'], runtimes: ['gvisor'] };

/** A body as it goes over the wire. */
export const frame = (body: string | Buffer): Buffer => Buffer.concat([Buffer.from(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`), Buffer.from(body)]);

/** Connects to a server with fake sessions, whose printing commands say `printed`. */
export const connect = (printed: Printed = [], wire = { input: new PassThrough(), output: new PassThrough() }) => {
  const { input, output } = wire;
  const sessions = createFakeSessions(printed);
  const server = serveJsonRpc({ dispatch: createDispatch(tools, { sessions, principal: 'me' }), wire, info: INFO });
  const messages: Message[] = [];
  const waiting: { wanted: (message: Message) => boolean; resolve: (message: Message) => void }[] = [];
  const split = createFrameSplitter(Infinity);
  const listen = (): void =>
    void output.on('data', (chunk: Buffer) => {
      for (const body of split(chunk)) {
        const message = JSON.parse(body.toString()) as Message;
        messages.push(message);
        for (const { wanted, resolve } of waiting) if (wanted(message)) resolve(message);
      }
    });
  let last = 1000;
  const raw = (bytes: string | Buffer): void => void input.write(bytes);
  const send = (message: object): void => raw(frame(JSON.stringify({ jsonrpc: '2.0', ...message })));
  /** the next message of which this holds */
  const next = (wanted: (message: Message) => boolean): Promise<Message> => new Promise((resolve) => waiting.push({ wanted, resolve }));
  /** the next answer with this id */
  const answer = (id: unknown): Promise<Message> => next((message) => message.id === id);
  const ask = (method: string, params?: unknown): Promise<Message> => {
    const id = (last += 1);
    const answered = answer(id);
    send({ id, method, params });
    return answered;
  };
  return { input, output, server, sessions, messages, listen, raw, send, next, answer, ask, lastId: () => last };
};

/** Connects a client that reads what it is sent. */
export const connectReader = (printed?: Printed) => {
  const client = connect(printed);
  client.listen();
  return client;
};
