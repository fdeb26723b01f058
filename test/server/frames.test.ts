import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { log } from '../../src/log.ts';
import { createFrameSplitter, FrameError } from '../../src/server/frames.ts';
import { MAX_MESSAGE_BYTES } from '../../src/server/messages.ts';
import { connect, connectReader, frame, INFO } from './frame-client.ts';

log.level = 'silent';

const LIMIT = 1000;

// What comes out of chunks: the bodies, and whether they end in an error.
const splitAll = (chunks: readonly Buffer[]): { bodies: string[]; isBroken: boolean } => {
  const split = createFrameSplitter(LIMIT);
  const bodies: string[] = [];
  try {
    for (const chunk of chunks) bodies.push(...split(chunk).map(String));
    return { bodies, isBroken: false };
  } catch (error) {
    expect(error).toBeInstanceOf(FrameError);
    return { bodies, isBroken: true };
  }
};

const cutAt = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const chunks: Buffer[] = [];
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = start + cuts[turn % cuts.length]!;
    chunks.push(bytes.subarray(start, end));
    start = end;
  }
  return chunks;
};

const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });

describe('frames', () => {
  const body = fc.string({ unit: fc.constantFrom('a', 'é', '漢', '\r', '\n', ':', 'Content-Length: 7\r\n\r\n'), maxLength: 20 });
  const name = fc.mixedCase(fc.constant('content-length'));
  const space = fc.constantFrom('', ' ', ' \t ');
  const others = fc.array(fc.constantFrom('Content-Type: application/vscode-jsonrpc; charset=utf-16', 'x-other:', 'X: y:z'), { maxLength: 2 });
  const written = fc.tuple(body, name, space, others, others).map(([text, field, blank, before, after]) => ({
    text,
    bytes: `${[...before, `${field}:${blank}${Buffer.byteLength(text)}${blank}`, ...after].join('\r\n')}\r\n\r\n${text}`,
  }));

  test('come out the same however they are cut, with any other header', () => {
    fc.assert(
      fc.property(fc.array(written, { maxLength: 8 }), cuts, (frames, at) => {
        const bytes = Buffer.from(frames.map((one) => one.bytes).join(''));
        expect(splitAll(cutAt(bytes, at))).toEqual({ bodies: frames.map(({ text }) => text), isBroken: false });
      }),
    );
  });

  test('of any bytes break at the same place however they are cut', () => {
    const bit = fc.constantFrom('Content-Length: ', 'content-length:', '3', '12', '\r\n', '\r\n\r\n', ':', 'x', 'Content-Type: y\r\n', '-1', 'abc');
    fc.assert(
      fc.property(fc.array(bit, { maxLength: 30 }), cuts, (bits, at) => {
        const bytes = Buffer.from(bits.join(''));
        const [whole, cut] = [splitAll([bytes]), splitAll(cutAt(bytes, at))];
        expect(cut.isBroken).toBe(whole.isBroken);
        if (!whole.isBroken) expect(cut.bodies).toEqual(whole.bodies);
      }),
    );
  });

  test.each([
    ['no length', 'Content-Type: x\r\n\r\n'],
    ['nothing', '\r\n\r\n'],
    ['two lengths, also when they are equal', 'Content-Length: 1\r\ncontent-length: 1\r\n\r\nx'],
    ['a negative length', 'Content-Length: -1\r\n\r\n'],
    ['a length in hex', 'Content-Length: 0x10\r\n\r\n'],
    ['a length with a unit', 'Content-Length: 5kb\r\n\r\n'],
    ['an empty length', 'Content-Length:\r\n\r\n'],
    ['a line that is no field', 'Content-Length: 1\r\nhello\r\n\r\nx'],
    ['a space in its name', 'Content-Length : 1\r\n\r\nx'],
    ['more than a message may have', `Content-Length: ${LIMIT + 1}\r\n\r\n`],
    ['more than a number can hold', `Content-Length: ${'9'.repeat(400)}\r\n\r\n`],
    ['no end within 4 KiB', `X: ${'y'.repeat(4200)}`],
    ['an end after 4 KiB, also behind a length', `Content-Length: 1\r\nX: ${'y'.repeat(4100)}\r\n\r\nx`],
    ['an end after 4 KiB', `X: ${'y'.repeat(4100)}\r\nContent-Length: 1\r\n\r\nx`],
  ])('whose header has %s are none', (_what, bytes) => {
    expect(splitAll([Buffer.from(bytes)])).toEqual({ bodies: [], isBroken: true });
  });

  test('may be as long as the limit, or empty', () => {
    expect(splitAll([frame('x'.repeat(LIMIT)), frame('')])).toEqual({ bodies: ['x'.repeat(LIMIT), ''], isBroken: false });
  });
});

describe('what is no message', () => {
  const request = { jsonrpc: '2.0', id: 1, method: 'server.info' };

  test.each([
    ['a batch', [request, request], null],
    ['an empty batch', [], null],
    ['a number', 7, null],
    ['null', null, null],
    ['an empty object', {}, null],
    ['a request without jsonrpc', { id: 3, method: 'server.info' }, 3],
    ['a request of JSON-RPC 1', { ...request, jsonrpc: '1.0' }, 1],
    ['a request whose id is null', { ...request, id: null }, null],
    ['a request whose id is a fraction', { ...request, id: 1.5 }, null],
    ['a request whose id is an object', { ...request, id: { toString: 1 } }, null],
    ['a request whose method is a list', { ...request, method: ['server.info'] }, 1],
    ['parameters that are text', { ...request, id: 'x', params: 'x' }, 'x'],
  ])('is refused with -32600, and the connection goes on: %s', async (_what, message, id) => {
    const { raw, ask, messages } = connectReader();
    raw(frame(JSON.stringify(message)));
    expect((await ask('server.info')).result).toEqual(INFO);
    expect(messages[0]).toEqual({ jsonrpc: '2.0', id, error: { code: -32600, message: expect.any(String) as string } });
    expect(messages).toHaveLength(2);
  });

  test.each(['', '{"broken', '\xff\xfe', '{"jsonrpc":"2.0","id":1,"method":"server.info"}x'])('is refused with -32700 when it is no JSON: %j', async (body) => {
    const warn = vi.spyOn(log, 'warn').mockClear();
    const { raw, ask, messages } = connectReader();
    raw(frame(Buffer.from(body, 'latin1')));
    expect((await ask('server.info')).result).toEqual(INFO);
    expect(messages[0]).toMatchObject({ id: null, error: { code: -32700 } });
    expect(warn).toHaveBeenCalledTimes(1);
    expect(JSON.stringify(warn.mock.calls)).not.toContain('broken');
  });

  test('is never answered when it is an answer, however broken', async () => {
    const { raw, ask, messages } = connectReader();
    for (const body of ['{"jsonrpc":"2.0","id":1,"result":7}', '{"id":{},"error":{}}', '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}'])
      raw(frame(body));
    await ask('server.info');
    expect(messages).toHaveLength(1);
  });

  test('does no harm, whatever JSON it is, nested deeper than the stack included', async () => {
    const { raw, ask, send, server } = connectReader();
    let ended = false;
    void server.ended.then(() => (ended = true));
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (json) => raw(frame(json))));
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    for (const params of [deep, `{"sandbox_id":${deep}}`, `{"sandbox_id":"sb_x","command":"x","progress_token":${deep}}`])
      raw(frame(`{"jsonrpc":"2.0","id":"deep","method":"sandbox.exec","params":${params}}`));
    raw(frame(`{"jsonrpc":"2.0","id":1,"error":${deep}}`));
    raw(frame('{"jsonrpc":"2.0","id":2,"method":"sandbox.list","__proto__":{"x":1},"params":{"__proto__":{"y":1}}}'));
    for (const params of [undefined, null, {}, [], [1], { id: null }, { id: {} }, { id: { toString: 1 } }, { id: 1.5 }, { id: 'nobody' }])
      for (const method of ['$/cancelRequest', '$/progress', '$/setTrace', '$/logTrace', 'exit', '__proto__']) send({ method, params });
    expect((await ask('server.info')).result).toEqual(INFO);
    expect([ended, Reflect.get({}, 'x'), Reflect.get({}, 'y')]).toEqual([false, undefined, undefined]);
  });
});

describe('the end', () => {
  test('comes with exit code 1 when a message of more than 10 MB is announced, before anything of it is kept', async () => {
    const { raw, server } = connectReader();
    raw(`Content-Length: ${MAX_MESSAGE_BYTES + 1}\r\n\r\n`);
    expect(await server.ended).toEqual({ reason: `a message of ${MAX_MESSAGE_BYTES + 1} bytes is longer than ${MAX_MESSAGE_BYTES}`, exitCode: 1 });
  });

  test('does not come with a message of 10 MB', async () => {
    const { raw, ask, answer } = connectReader();
    const message = '{"jsonrpc":"2.0","id":"big","method":"server.info","params":{"x":""}}';
    raw(frame(message.replace('""', `"${'x'.repeat(MAX_MESSAGE_BYTES - message.length)}"`)));
    expect((await answer('big')).error.code).toBe(-32602);
    expect((await ask('server.info')).result).toEqual(INFO);
  });

  test('comes with exit code 1 when a header is none; what follows is not looked at', async () => {
    const { raw, ask, server, messages } = connectReader();
    raw('Contents: 5\r\n\r\nhello');
    expect(await server.ended).toMatchObject({ exitCode: 1 });
    void ask('server.info');
    await new Promise((resolve) => setImmediate(resolve));
    expect(messages).toEqual([]);
  });

  test('comes with exit code 0 when stdin ends, before or after it was listened to, and when stdout is closed', async () => {
    const atEnd = connectReader();
    atEnd.input.end();
    expect(await atEnd.server.ended).toEqual({ reason: 'end of stdin', exitCode: 0 });
    const before = { input: new PassThrough(), output: new PassThrough() };
    before.input.resume().end();
    await once(before.input, 'close');
    expect(await connect([], before).server.ended).toEqual({ reason: 'end of stdin', exitCode: 0 });
    const closed = connectReader();
    closed.output.destroy(new Error('EPIPE'));
    expect(await closed.server.ended).toMatchObject({ exitCode: 0 });
  });
});
