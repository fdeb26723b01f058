import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  CancellationTokenSource,
  createMessageConnection,
  ProgressType,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import { ERRORS } from '../../src/errors.ts';
import { log } from '../../src/log.ts';
import { createDispatch } from '../../src/server/dispatch.ts';
import { FrameGuard } from '../../src/server/frames.ts';
import { serveJsonRpc, type JsonRpcServer } from '../../src/server/jsonrpc.ts';
import { tools } from '../../tools/index.ts';
import { createFakeSessions } from '../fixtures/fake-sessions.ts';

log.level = 'silent';
const INFO = { name: 'cellwall', version: '1.2.3', policies: ['offline'], runtimes: ['gvisor'] };
const SANDBOX = 'sb_0123456789abcdefghij';

let input: PassThrough;
let output: PassThrough;
let server: JsonRpcServer;
let client: MessageConnection;

beforeEach(() => {
  [input, output] = [new PassThrough(), new PassThrough()];
  server = serveJsonRpc({ dispatch: createDispatch(tools, { sessions: createFakeSessions(), principal: 'me' }), wire: { input, output }, info: INFO });
});
afterEach(() => server.close());

const connect = (): MessageConnection => {
  client = createMessageConnection(new StreamMessageReader(output), new StreamMessageWriter(input));
  client.listen();
  return client;
};

const frame = (body: string): string => `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

// The answer to one raw frame.
const answerTo = (bytes: string): Promise<unknown> =>
  new Promise((resolve) => {
    const listener = new StreamMessageReader(output).listen((message) => {
      listener.dispose();
      resolve(message);
    });
    input.write(bytes);
  });

const failure = async (method: string, params: unknown): Promise<{ code: number; message: string; data?: Record<string, unknown> }> => {
  try {
    await connect().sendRequest(method, params);
  } catch (error) {
    return error as { code: number; message: string; data?: Record<string, unknown> };
  }
  throw new Error('it was answered');
};

describe('a call', () => {
  test('gets the result as it is', async () => {
    expect(await connect().sendRequest('sandbox.exec', { sandbox_id: SANDBOX, command: 'echo hi' })).toMatchObject({ status: 'exited', exit_code: 0 });
  });

  test('of server.info names the server, its policies and runtimes', async () => {
    expect(await connect().sendRequest('server.info')).toEqual(INFO);
  });

  test.each(['sandbox.nothing', 'nothing', 'sandbox_create', '__proto__', 'constructor', 'sandbox.__proto__', 'toString'])(
    'of %s is no method',
    async (method) => {
      expect((await failure(method, {})).code).toBe(-32601);
    },
  );

  test('that fails has the positive number of its code, and what to do', async () => {
    const { code, data } = await failure('sandbox.exec', { sandbox_id: 'sb_nobody', command: 'true' });
    expect({ code, data }).toEqual({ code: 1101, data: { code: 'SANDBOX_NOT_FOUND', retryable: false, hint: ERRORS.SANDBOX_NOT_FOUND.hint } });
  });

  test('with bad parameters names each of them', async () => {
    const { code, data } = await failure('sandbox.exec', { sandbox_id: SANDBOX, command: 7, comand: 'x' });
    expect(code).toBe(-32602);
    expect(JSON.stringify(data?.['issues'])).toMatch(/command.*comand/s);
  });

  test('that is cancelled is answered with -32800, also when the cancellation came first', async () => {
    const source = new CancellationTokenSource();
    const call = connect().sendRequest('sandbox.exec', { sandbox_id: SANDBOX, command: 'hang' }, source.token);
    source.cancel();
    await expect(call).rejects.toMatchObject({ code: -32800, data: { code: 'CANCELED' } });
  });
});

describe('output on its way', () => {
  test('comes whole, in order, uncut inside characters, and before the answer', async () => {
    const { dispatch, written } = streaming([Buffer.from('a€').subarray(0, 2), Buffer.from('a€').subarray(2), Buffer.of(0xff)]);
    server.close();
    [input, output] = [new PassThrough(), new PassThrough()];
    server = serveJsonRpc({ dispatch, wire: { input, output }, info: INFO });
    const seen: string[] = [];
    connect().onProgress(new ProgressType<{ text: string }>(), 'token', ({ text }) => seen.push(text));
    await client.sendRequest('sandbox.exec', { sandbox_id: SANDBOX, command: 'x', progress_token: 'token' });
    expect(seen.join('')).toBe(Buffer.concat(written).toString('utf8'));
  });

  test('is not sent to a client that did not ask', async () => {
    const { dispatch } = streaming([Buffer.from('x')]);
    server.close();
    [input, output] = [new PassThrough(), new PassThrough()];
    server = serveJsonRpc({ dispatch, wire: { input, output }, info: INFO });
    input.write(frame('{"jsonrpc":"2.0","id":1,"method":"sandbox.exec","params":{"sandbox_id":"sb_0123456789abcdefghij","command":"x"}}'));
    await new Promise((resolve) => output.once('data', resolve));
    expect(String(output.read() ?? '')).not.toContain('$/progress');
  });

  // Tools whose exec hands on these bytes.
  const streaming = (written: readonly Buffer[]) => {
    const sessions = createFakeSessions();
    const get = sessions.get.bind(sessions);
    const streamed = {
      ...sessions,
      get: (id: string, principal: string) => ({
        ...get(id, principal),
        exec: async (...[request, signal, take]: Parameters<ReturnType<typeof get>['exec']>) => {
          for (const bytes of written) await take?.('stdout', bytes);
          return get(id, principal).exec(request, signal);
        },
      }),
    };
    return { dispatch: createDispatch(tools, { sessions: streamed, principal: 'me' }), written };
  };
});

describe('what is no call', () => {
  test('a batch is refused', async () => {
    expect(await answerTo(frame('[{"jsonrpc":"2.0","id":1,"method":"server.info"}]'))).toMatchObject({ id: null, error: { code: -32600 } });
  });

  test.each(['1', '"x"', 'null', '{}'])('%s is refused, and the connection goes on', async (body) => {
    expect(await answerTo(frame(body))).toMatchObject({ error: { code: -32600 } });
    expect(await answerTo(frame('{"jsonrpc":"2.0","id":2,"method":"server.info"}'))).toMatchObject({ id: 2, result: INFO });
  });

  test('a message of more than 10 MB ends the connection before it is kept', async () => {
    input.write('Content-Length: 11000000\r\n\r\n');
    expect(await server.ended).toMatchObject({ exitCode: 1, reason: expect.stringContaining('longer than') });
  });

  test('a header that is none ends the connection', async () => {
    input.write(`${'x'.repeat(5000)}`);
    expect((await server.ended).exitCode).toBe(1);
  });

  test('the end of stdin ends it in order', async () => {
    input.end();
    expect(await server.ended).toEqual({ reason: 'end of stdin', exitCode: 0 });
  });
});

test('frames pass unchanged, however they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.json()), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), async (bodies, cuts) => {
      const bytes = Buffer.from(bodies.map((body) => frame(body)).join(''));
      const whole = await buffer(Readable.from(cutAt(bytes, cuts)).pipe(new FrameGuard()));
      expect(whole.equals(bytes)).toBe(true);
    }),
  );
});

const cutAt = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const chunks: Buffer[] = [];
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = start + cuts[turn % cuts.length]!;
    chunks.push(bytes.subarray(start, end));
    start = end;
  }
  return chunks;
};
