import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { log } from '../../src/log.ts';
import { createLineSplitter, LineTransport } from '../../src/server/lines.ts';
import { MAX_MESSAGE_BYTES } from '../../src/server/messages.ts';

log.level = 'silent';
afterEach(() => void vi.restoreAllMocks());

describe('lines', () => {
  test('come out the same however the bytes are cut', () => {
    const text = fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '漢', '\r', ' ') }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(7), { minLength: 1 }), (lines, cuts) => {
        const bytes = Buffer.from(`${lines.join('\n')}\n`);
        const split = createLineSplitter(1000);
        const got: string[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const length = Math.max(1, cuts[turn % cuts.length]!);
          got.push(...split(bytes.subarray(at, at + length))!.map(String));
          at += length;
        }
        expect(got).toEqual(lines);
      }),
    );
  });

  test('may be as long as the limit and no longer, however they come', () => {
    expect(createLineSplitter(4)(Buffer.from('1234\n1234\n'))?.map(String)).toEqual(['1234', '1234']);
    expect(createLineSplitter(4)(Buffer.from('1\n12345\n'))).toBeNull();
    const split = createLineSplitter(4);
    expect(split(Buffer.from('123'))).toEqual([]);
    expect(split(Buffer.from('45'))).toBeNull();
  });
});

describe('the transport', () => {
  const connect = async (): Promise<{ input: PassThrough; output: PassThrough; transport: LineTransport; got: unknown[]; answers: () => unknown[] }> => {
    const [input, output, got] = [new PassThrough(), new PassThrough(), [] as unknown[]];
    const transport = new LineTransport({ input, output });
    transport.onmessage = (message) => void got.push(message);
    await transport.start();
    const answers = (): unknown[] =>
      String(output.read() ?? '')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as unknown);
    return { input, output, transport, got, answers };
  };
  const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('logs and skips a line that is no JSON, and goes on', async () => {
    const warn = vi.spyOn(log, 'warn');
    const { input, got, answers } = await connect();
    input.write(`{"broken\n\n  \n\xff\xfe garbage secret\n${JSON.stringify(PING)}\r\n`);
    await settled();
    expect(got).toEqual([PING]);
    expect(answers()).toEqual([]);
    expect(warn).toHaveBeenCalledTimes(2);
    expect(JSON.stringify(warn.mock.calls)).not.toContain('secret');
  });

  test.each([
    ['a batch', [PING, PING], null],
    ['an empty batch', [], null],
    ['a number', 7, null],
    ['a request without jsonrpc', { id: 3, method: 'ping' }, 3],
    ['a request whose id is null', { jsonrpc: '2.0', id: null, method: 'ping' }, null],
    ['a request whose id is a fraction', { jsonrpc: '2.0', id: 1.5, method: 'ping' }, null],
    ['a request whose id is an object', { jsonrpc: '2.0', id: {}, method: 'ping' }, null],
    ['parameters that are a list', { jsonrpc: '2.0', id: 'x', method: 'ping', params: [1] }, 'x'],
  ])('answers %s with -32600 and its id where it has a usable one', async (_name, message, id) => {
    const { input, got, answers } = await connect();
    input.write(`${JSON.stringify(message)}\n`);
    await settled();
    expect(got).toEqual([]);
    expect(answers()).toEqual([{ jsonrpc: '2.0', id, error: { code: -32600, message: expect.any(String) as string } }]);
  });

  test('answers an id that a number cannot hold with null', async () => {
    const { input, answers } = await connect();
    input.write('{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}\n');
    await settled();
    expect(answers()).toEqual([expect.objectContaining({ id: null })]);
  });

  test('never answers an answer, however broken', async () => {
    const { input, got, answers } = await connect();
    input.write('{"id":1,"result":7}\n{"jsonrpc":"2.0","id":{},"error":{}}\n');
    await settled();
    expect([got, answers()]).toEqual([[], []]);
  });

  test('survives any JSON, nested deeper than the stack included', async () => {
    const { input, got, transport } = await connect();
    let ended = false;
    void transport.ended.then(() => (ended = true));
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (json) => void input.write(`${json.replaceAll('\n', ' ')}\n`)));
    input.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}}\n`);
    input.write('{"jsonrpc":"2.0","id":2,"method":"ping","__proto__":{"x":1},"params":{"__proto__":{"y":1}}}\n');
    input.write(`${JSON.stringify(PING)}\n`);
    await settled();
    expect(got.at(-1)).toEqual(PING);
    expect([ended, Reflect.get({}, 'x'), Reflect.get({}, 'y')]).toEqual([false, undefined, undefined]);
  });

  test('ends with exit code 1 at a message over 10 MB, and passes one of 10 MB', async () => {
    const { input, got, transport } = await connect();
    const frame = JSON.stringify({ ...PING, params: { x: '' } });
    input.write(`${frame.replace('""', `"${'x'.repeat(MAX_MESSAGE_BYTES - frame.length)}"`)}\n`);
    await settled();
    expect(got).toHaveLength(1);
    let closed = false;
    transport.onclose = () => (closed = true);
    input.write(Buffer.alloc(MAX_MESSAGE_BYTES, 'x'));
    input.write('x');
    expect(await transport.ended).toEqual({ reason: expect.stringContaining('longer than') as string, exitCode: 1 });
    expect(closed).toBe(true);
    input.write(`\n${JSON.stringify(PING)}\n`);
    await settled();
    expect(got).toHaveLength(1);
  });

  test('ends with exit code 0 when stdin ends, with stdin broken, and with stdout closed by the client', async () => {
    const atEnd = await connect();
    atEnd.input.end();
    expect(await atEnd.transport.ended).toEqual({ reason: 'end of stdin', exitCode: 0 });
    const broken = await connect();
    broken.input.destroy(new Error('EIO'));
    expect(await broken.transport.ended).toMatchObject({ exitCode: 0 });
    const closed = await connect();
    closed.output.destroy(new Error('EPIPE'));
    expect(await closed.transport.ended).toMatchObject({ exitCode: 0 });
    await closed.transport.send({ jsonrpc: '2.0', id: 1, result: {} });
  });
});
