/** A client that writes raw messages and knows nothing of the SDK. */
import { PassThrough } from 'node:stream';
import { createDispatch } from '../../src/server/dispatch.ts';
import { LineTransport } from '../../src/server/lines.ts';
import { serveMcp, type McpOptions } from '../../src/server/mcp.ts';
import type { Tool } from '../../src/tool.ts';
import { tools as usual } from '../../tools/index.ts';
import { createFakeSessions, type Printed } from '../fixtures/fake-sessions.ts';

export interface Message {
  id?: unknown;
  method?: string;
  // oxlint-disable-next-line no-explicit-any -- what a server says is looked at field by field
  [field: string]: any;
}

/** The one sandbox that there is. */
export const sandbox_id = 'sb_0123456789abcdefghij';

/** Connects to a server with fake sessions. */
export const connect = async (
  options: Partial<McpOptions> = {},
  { handshake = true, printed = [], tools = usual }: { handshake?: boolean; printed?: Printed; tools?: readonly Tool[] } = {},
) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const dispatch = createDispatch(tools, { sessions: createFakeSessions(printed), principal: 'me' });
  const connection = serveMcp(dispatch, new LineTransport({ input, output }), { version: '1.2.3', toolResults: 'both', dottedNames: false, ...options });
  const messages: Message[] = [];
  const waiting = new Map<unknown, (message: Message) => void>();
  output.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean)) {
      const message = JSON.parse(line) as Message;
      messages.push(message);
      waiting.get(message.id)?.(message);
    }
  });
  let last = 0;
  const send = (message: object): void => void input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const ask = (method: string, params: object = {}): Promise<Message> => {
    const id = ++last;
    send({ id, method, params });
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  const call = (name: string, args?: object, rest: object = {}): Promise<Message> => ask('tools/call', { name, arguments: args, ...rest });
  const hello = handshake ? await ask('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } }) : undefined;
  return { send, ask, call, messages, hello, connection, lastId: () => last };
};
