import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { CancellationTokenSource, createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { ERRORS } from '../../src/errors.ts';
import { log } from '../../src/log.ts';
import { GetServerInfo, Output, REQUEST_CANCELLED, SandboxExec, SandboxList, type OutputPart } from '../../src/protocol.ts';
import { tools } from '../../tools/index.ts';
import type { Printed } from '../fixtures/fake-sessions.ts';
import { connect, connectReader, frame, INFO } from './frame-client.ts';
import { sandbox_id, type Message } from './mcp-client.ts';

log.level = 'silent';

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
const exec = (command: string, more: object = {}) => ['sandbox.exec', { sandbox_id, command, ...more }] as const;

describe('a call', () => {
  test('gets the result as it is, uncleaned', async () => {
    const { result } = await connectReader().ask(...exec('colours'));
    expect(result).toMatchObject({ status: 'exited', exit_code: 0, stdout: '\x1b[31mred\x1b[0m\n10%\r100%\n', signal: null });
  });

  test('of server.info names the server, its policies and runtimes; it takes no parameters', async () => {
    const { ask } = connectReader();
    for (const params of [undefined, null, {}]) expect((await ask('server.info', params)).result).toEqual(INFO);
    expect((await ask('server.info', { verbose: true })).error).toMatchObject({ code: -32602, data: { issues: [{ path: 'verbose' }] } });
  });

  test('reaches every tool by its dotted name', async () => {
    const { ask } = connectReader();
    for (const { name } of tools) expect((await ask(name, { wrong: 1 })).error.code, name).toBe(-32602);
  });

  test.each(['sandbox.nothing', 'nothing', 'sandbox_create', '__proto__', 'constructor', 'sandbox.__proto__', 'toString', '', 'server.', '$/cancelRequest'])(
    'of %j is no method',
    async (method) => {
      expect((await connectReader().ask(method, {})).error.code).toBe(-32601);
    },
  );

  test('that fails has the positive number of its code, and what to do', async () => {
    const { error } = await connectReader().ask('sandbox.exec', { sandbox_id: 'sb_nobody', command: 'true' });
    expect(error).toEqual({
      code: 1101,
      message: 'there is no such sandbox',
      data: { code: 'SANDBOX_NOT_FOUND', retryable: false, hint: ERRORS.SANDBOX_NOT_FOUND.hint },
    });
  });

  test('that breaks shows nothing of the inside', async () => {
    const { error } = await connectReader().ask(...exec('break'));
    expect(error).toMatchObject({ code: 1901, data: { code: 'INTERNAL' } });
    expect(JSON.stringify(error)).not.toMatch(/secret|TypeError|\.ts/);
  });

  test('with bad parameters names each of them', async () => {
    const { error } = await connectReader().ask(...exec('x', { command: 7, comand: 'x' }));
    expect(error).toMatchObject({ code: -32602, data: { code: 'INVALID_PARAMS', issues: [{ path: 'command' }, { path: 'comand' }] } });
    expect((await connectReader().ask('sandbox.exec', [sandbox_id, 'true'])).error.code).toBe(-32602);
  });

  test('takes null for what is left out', async () => {
    expect((await connectReader().ask(...exec('x', { argv: null, cwd: null, progress_token: null }))).result.stdout).toBe('x\n');
  });

  test('may share its id with others, or have a very long one: each is answered', async () => {
    const { send, messages, ask } = connectReader();
    const long = 'i'.repeat(1_000_000);
    for (const [id, command] of [
      [7, 'a'],
      [7, 'b'],
      ['7', 'c'],
      [long, 'd'],
    ])
      send({ id, method: 'sandbox.exec', params: { sandbox_id, command } });
    await ask('server.info');
    await settled();
    expect(messages.flatMap(({ id, result }) => (result.stdout ? [[id, result.stdout]] : []))).toEqual([
      [7, 'a\n'],
      [7, 'b\n'],
      ['7', 'c\n'],
      [long, 'd\n'],
    ]);
  });
});

describe('a cancellation', () => {
  const canceled = { code: -32800, message: 'the call was canceled', data: { code: 'CANCELED', retryable: true, hint: ERRORS.CANCELED.hint } };

  test.each(['hang', 'end with the call'])('is answered with -32800 while a command runs (%s), also when it came in the same breath', async (command) => {
    const { ask, send, lastId, sessions } = connectReader();
    const inOneBreath = ask(...exec(command));
    send({ method: '$/cancelRequest', params: { id: lastId() } });
    expect((await inOneBreath).error).toEqual(canceled);
    const later = ask(...exec(command));
    await vi.waitUntil(() => sessions.calls.length === 2);
    send({ method: '$/cancelRequest', params: { id: lastId() } });
    expect((await later).error).toEqual(canceled);
  });

  test('finds its call behind many others, however the bytes come', async () => {
    const { raw, answer } = connectReader();
    const answered = answer('last');
    const info = '{"jsonrpc":"2.0","id":1,"method":"server.info"}';
    raw(
      Buffer.concat([
        ...Array.from({ length: 20 }, () => frame(info)),
        frame(JSON.stringify({ jsonrpc: '2.0', id: 'last', method: 'sandbox.exec', params: { sandbox_id, command: 'hang' } })),
      ]),
    );
    raw(frame('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"last"}}'));
    expect((await answered).error).toEqual(canceled);
  });

  test('of a wait is answered with -32800', async () => {
    const { ask, send, lastId } = connectReader();
    const waited = ask('sandbox.wait', { sandbox_id, exec_id: 'ex_long' });
    send({ method: '$/cancelRequest', params: { id: lastId() } });
    expect((await waited).error).toEqual(canceled);
  });

  test('that comes too late takes nothing away: what was done is told', async () => {
    const { ask, send, lastId } = connectReader();
    const done = ask(...exec('end before the cancellation'));
    send({ method: '$/cancelRequest', params: { id: lastId() } });
    expect((await done).result.stdout).toBe('done\n');
  });

  test('before the call, after its end or of nobody does no harm', async () => {
    const { ask, send, lastId, messages } = connectReader();
    send({ method: '$/cancelRequest', params: { id: lastId() + 1 } });
    await ask(...exec('x'));
    for (const id of [lastId(), 987654321, 'nobody', null]) send({ method: '$/cancelRequest', params: { id } });
    expect((await ask(...exec('y'))).result.stdout).toBe('y\n');
    expect(messages).toHaveLength(2);
  });

  test('comes of itself when the client goes in the middle of a call', async () => {
    const info = vi.spyOn(log, 'info').mockImplementation(() => {});
    const { ask, input, server } = connectReader();
    void ask(...exec('hang'));
    await settled();
    input.end();
    await server.ended;
    server.close();
    await vi.waitUntil(() => info.mock.calls.length > 0);
    expect(info.mock.calls.map(([line]) => line)).toEqual([expect.objectContaining({ method: 'sandbox.exec', outcome: 'CANCELED' })]);
    info.mockRestore();
  });
});

describe('output on its way', () => {
  const progress = (messages: readonly Message[]): OutputPart[] =>
    messages.flatMap(({ method, params }) => (method === '$/progress' ? [params.value as OutputPart] : []));
  const textOf = (messages: readonly Message[], stream: string): string =>
    progress(messages)
      .filter((part) => part.stream === stream)
      .map(({ text }) => text)
      .join('');

  test('comes whole, in order, as text, and before the answer, whatever the bytes are and however they come', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc.string({ unit: 'grapheme', maxLength: 4 }).map((text) => Buffer.from(`\uFEFF${text}`)),
    );
    const part = fc.tuple(
      fc.constantFrom('stdout' as const, 'stderr' as const),
      bytes.map((some) => Buffer.from(some)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.oneof(fc.string(), fc.integer()), async (printed, token) => {
        const { ask, messages } = connectReader(printed);
        const { id } = await ask(...exec('print', { progress_token: token }));
        expect(messages.at(-1)?.id).toBe(id);
        expect(messages.slice(0, -1).every(({ method, params }) => method === '$/progress' && params.token === token)).toBe(true);
        for (const stream of ['stdout', 'stderr']) expect(textOf(messages, stream)).toBe(bytesOf(printed, stream).toString());
      }),
    );
  });

  const bytesOf = (printed: Printed, stream: string): Buffer =>
    Buffer.concat(
      Array.from(printed)
        .filter(([one]) => one === stream)
        .map(([, bytes]) => bytes),
    );

  test('comes from sandbox.wait too', async () => {
    const { ask, messages } = connectReader([['stderr', Buffer.from('é')]]);
    await ask('sandbox.wait', { sandbox_id, exec_id: 'ex_1', progress_token: 42 });
    expect(progress(messages)).toEqual([{ stream: 'stderr', text: 'é' }]);
  });

  test('leaves an unfinished character to the next call while the command runs on', async () => {
    const { ask, messages } = connectReader([['stdout', Buffer.from('aé').subarray(0, 2)]]);
    await ask(...exec('print and run on', { progress_token: 1 }));
    expect(textOf(messages, 'stdout')).toBe('a');
  });

  test('is not sent to a client that did not ask, and not after the answer', async () => {
    const { ask, send, lastId, messages } = connectReader([['stdout', Buffer.from('x')]]);
    await ask(...exec('print'));
    expect(messages).toHaveLength(1);
    const running = ask(...exec('print and hang', { progress_token: 'p' }));
    await vi.waitUntil(() => messages.length === 2);
    send({ method: '$/cancelRequest', params: { id: lastId() } });
    await running;
    await settled();
    expect(messages.slice(1).map(({ method, error }) => method ?? error.code)).toEqual(['$/progress', -32800]);
  });

  test.each([[{}], [true], [1.5], [[]]])('wants a token that is text or a whole number, not %j', async (progress_token) => {
    const { error } = await connectReader().ask(...exec('print', { progress_token }));
    expect(error).toMatchObject({ code: -32602, data: { code: 'INVALID_PARAMS', issues: [{ path: 'progress_token' }] } });
    expect(error.message).toContain('expected `progress_token` to be a string or a whole number');
  });

  test('is unknown to a tool that prints nothing', async () => {
    const { error } = await connectReader().ask('sandbox.list', { progress_token: 1 });
    expect(error).toMatchObject({ code: -32602, data: { issues: [{ message: '`progress_token` is unknown' }] } });
  });

  describe('to a client that does not read', () => {
    const CHUNKS = 200;
    // How much was taken of it is seen.
    const long = () => {
      let taken = 0;
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const printed: Printed = {
        *[Symbol.iterator]() {
          for (; taken < CHUNKS; taken++) yield ['stdout', chunk] as const;
        },
      };
      return { printed, taken: () => taken };
    };

    test('waits, and comes whole when it reads again', async () => {
      const { printed, taken } = long();
      const client = connect(printed);
      const answered = client.ask(...exec('print', { progress_token: 1 }));
      await settled();
      await settled();
      expect(taken()).toBeLessThan(3);
      client.listen();
      expect((await answered).result.status).toBe('exited');
      expect(textOf(client.messages, 'stdout')).toHaveLength(CHUNKS * 64 * 1024);
    });

    test('is given up when the call is cancelled or the client goes', async () => {
      for (const end of ['cancel', 'go'] as const) {
        const info = vi.spyOn(log, 'info').mockImplementation(() => {});
        const { printed, taken } = long();
        const client = connect(printed);
        void client.ask(...exec('print and hang', { progress_token: 1 }));
        await settled();
        if (end === 'cancel') client.send({ method: '$/cancelRequest', params: { id: client.lastId() } });
        else client.input.end();
        await vi.waitUntil(() => info.mock.calls.length > 0);
        expect(info.mock.calls[0]?.[0]).toMatchObject({ outcome: 'CANCELED' });
        expect(taken()).toBe(CHUNKS);
        info.mockRestore();
      }
    });
  });
});

test('vscode-jsonrpc with the typed protocol calls, streams and cancels', async () => {
  const { input, output } = connect([['stdout', Buffer.from('hello')]]);
  const client = createMessageConnection(new StreamMessageReader(output), new StreamMessageWriter(input));
  client.listen();
  expect(await client.sendRequest(GetServerInfo)).toEqual(INFO);
  expect((await client.sendRequest(SandboxList, {})).quota.max).toBe(8);
  const parts: OutputPart[] = [];
  client.onProgress(Output, 'token', (part) => void parts.push(part));
  const source = new CancellationTokenSource();
  const running = client.sendRequest(SandboxExec, { sandbox_id, command: 'print and hang', progress_token: 'token' }, source.token);
  await vi.waitUntil(() => parts.length > 0);
  source.cancel();
  await expect(running).rejects.toMatchObject({ code: REQUEST_CANCELLED, data: { code: 'CANCELED' } });
  expect(parts).toEqual([{ stream: 'stdout', text: 'hello' }]);
  client.dispose();
});
