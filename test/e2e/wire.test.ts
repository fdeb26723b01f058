/** M4, M5, M6: whatever comes over the wire, the real server answers what can be answered, says nothing but protocol, and serves on. */
import { describe, expect, it } from 'vitest';
import { finish, runCellwall } from './harness/command.ts';
import { makeHome, type Home } from './harness/home.ts';
import { NOTHING, watchHost } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { startCellwall } from './harness/server.ts';

type Json = Readonly<Record<string, unknown>>;

const INITIALIZE: Json = {
  jsonrpc: '2.0',
  id: 'hello',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wire', version: '1' } },
};
const INITIALIZED: Json = { jsonrpc: '2.0', method: 'notifications/initialized' };
const LIST: Json = { jsonrpc: '2.0', id: 'last', method: 'tools/call', params: { name: 'sandbox_list', arguments: {} } };
const call = (id: unknown, params: unknown): Json => ({ jsonrpc: '2.0', id, method: 'tools/call', params });

const line = (message: unknown): string => `${typeof message === 'string' ? message : JSON.stringify(message)}\n`;
const frame = (message: unknown): string => {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  return `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
};

/** What no client should send, in both framings. */
const ODD: readonly (readonly [what: string, messages: readonly unknown[]])[] = [
  ['garbage', ['garbage', '\u0000\u0001\u0002', '{"jsonrpc": "2.0", "id": 1', '"text"', 'null', '12', '\ufeff{}']],
  [
    'batches',
    [
      '[]',
      '[1]',
      [
        { jsonrpc: '2.0', id: 1, method: 'tools/list' },
        { jsonrpc: '2.0', id: 2, method: 'tools/list' },
      ],
    ],
  ],
  [
    'messages of no kind',
    [{}, { jsonrpc: '1.0', id: 1, method: 'x' }, { jsonrpc: '2.0', id: 7 }, { jsonrpc: '2.0', id: 8, result: {} }, { jsonrpc: '2.0', error: 5 }],
  ],
  [
    'wrong types',
    [call(1, 'x'), call(2, [1]), call(3, { name: 5 }), call(4, { name: 'sandbox_list', arguments: 'x' }), { jsonrpc: '2.0', id: 5, method: 7, params: null }],
  ],
  [
    'odd ids',
    [
      call('x'.repeat(1_000_000), { name: 'sandbox_list', arguments: {} }),
      call(1e308, { name: 'sandbox_list' }),
      call(-1, {}),
      call(null, {}),
      call({ a: 1 }, {}),
      call(1.5, {}),
    ],
  ],
  ['one id again and again', Array.from({ length: 50 }, () => call('same', { name: 'sandbox_list', arguments: {} }))],
  [
    'deep nesting',
    [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sandbox_list","arguments":{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}}}`],
  ],
  [
    'names that objects have',
    [
      '{"jsonrpc":"2.0","id":1,"method":"__proto__","params":{"__proto__":{"polluted":true}}}',
      '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"constructor","arguments":{}}}',
      '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"sandbox_create","arguments":{"__proto__":{"context":"/"},"env":{"__proto__":"x"},"context":"none","constructor":1}}}',
    ],
  ],
  [
    'cancellations of what is not there',
    [
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 99 } },
      { jsonrpc: '2.0', method: '$/cancelRequest', params: { id: 99 } },
      { jsonrpc: '2.0', method: '$/cancelRequest' },
    ],
  ],
];

describe(`M4 over lines, server as ${mode}`, () => {
  it.each(ODD)('%s: the server serves on, and says nothing but protocol', async (_what, messages) => {
    const home = makeHome();
    const look = watchHost(home);
    const stdin = Buffer.from([INITIALIZE, INITIALIZED, ...messages, LIST].map(line).join(''));
    const { code, stdout, stderr } = await runCellwall([], { home, stdin });
    const answers = String(stdout)
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as Json);
    expect(answers.every((one) => one['jsonrpc'] === '2.0')).toBe(true);
    expect(answers.find(({ id }) => id === 'last')).toMatchObject({ result: { structuredContent: { sandboxes: [], quota: { used: 0 } } } });
    expect([code, stderr.includes('"level":60')]).toEqual([0, false]);
    expect(look()).toEqual(NOTHING);
  });
});

describe(`M4 over frames, server as ${mode}`, () => {
  it.each(ODD)('%s: the server serves on, and says nothing but protocol', async (_what, messages) => {
    const home = makeHome();
    const look = watchHost(home);
    const { answers, code, stderr } = await talk(home, [{ jsonrpc: '2.0', id: 'hello', method: 'server.info', params: {} }, ...messages]);
    expect(answers.every((one) => one['jsonrpc'] === '2.0')).toBe(true);
    expect(answers.find(({ id }) => id === 'last')).toMatchObject({ result: { sandboxes: [], quota: { used: 0 } } });
    expect([code, stderr.includes('"level":60')]).toEqual([0, false]);
    expect(look()).toEqual(NOTHING);
  });

  it('a batch is answered with -32600', async () => {
    const { answers } = await talk(makeHome(), [[LIST]]);
    expect(answers[0]).toMatchObject({ error: { code: -32_600 } });
  });
});

it.each([
  ['lines', (text: string) => line(text)],
  ['frames', (text: string) => frame(text)],
])('M4 a message of 11 MB over %s ends the connection with a reason and exit code 1', async (_wire, wrap) => {
  const { code, stderr } = await runCellwall([], { stdin: Buffer.from(wrap(JSON.stringify(call(1, { name: 'x'.repeat(11_000_000) })))) });
  expect([code, stderr.includes('longer than 10485760')]).toEqual([1, true]);
});

// Sends frames, and ends stdin when the last of them was answered: its end means that nobody waits any more.
const talk = async (home: Home, messages: readonly unknown[]): Promise<{ answers: Json[]; code: number | null; stderr: string }> => {
  const child = startCellwall({ home });
  const finished = finish(child);
  let said = Buffer.alloc(0);
  child.stdout.on('data', (bytes: Buffer) => {
    said = Buffer.concat([said, bytes]);
    if (said.includes('"id":"last"')) child.stdin.end();
  });
  child.stdin.write([...messages, { jsonrpc: '2.0', id: 'last', method: 'sandbox.list', params: {} }].map(frame).join(''));
  const { code, stdout, stderr } = await finished;
  return { answers: framesOf(stdout), code, stderr };
};

const framesOf = (bytes: Buffer): Json[] => {
  const found: Json[] = [];
  for (let at = 0; at < bytes.length;) {
    const [, size] = /^Content-Length: (\d+)\r\n\r\n/.exec(bytes.toString('latin1', at, at + 60)) ?? [];
    const start = bytes.indexOf('\r\n\r\n', at) + 4;
    found.push(JSON.parse(bytes.toString('utf8', start, start + Number(size))) as Json);
    at = start + Number(size);
  }
  return found;
};
