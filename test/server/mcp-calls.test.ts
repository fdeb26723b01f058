import { afterEach, describe, expect, test, vi } from 'vitest';
import { log } from '../../src/log.ts';
import { connect, sandbox_id, type Message } from './mcp-client.ts';

log.level = 'silent';
afterEach(() => void vi.useRealTimers());

describe('a call that runs', () => {
  const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(() => setImmediate(resolve)));

  const steps = (messages: readonly Message[]): Message[] =>
    messages.filter(({ method }) => method === 'notifications/progress').map(({ params }) => params as Message);
  const withToken = { _meta: { progressToken: 'p' } };

  test('tells each second that it runs to a client that gave a token, and nothing after its end', async () => {
    const { call, send, messages, lastId } = await connect();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    void call('sandbox_exec', { sandbox_id, command: 'deaf' }, withToken);
    await settled();
    vi.advanceTimersByTime(3500);
    await settled();
    expect(steps(messages)).toEqual([1, 2, 3].map((progress) => ({ progressToken: 'p', progress, message: `running for ${progress} s` })));
    send({ method: 'notifications/cancelled', params: { requestId: lastId() } });
    await settled();
    vi.advanceTimersByTime(20_000);
    await settled();
    expect(steps(messages)).toHaveLength(3);
  });

  test('tells the last line of output soon after it was printed, cleaned and short, ever further on', async () => {
    const { call, messages } = await connect({}, { printed: [['stdout', Buffer.from('first\n\x1b[32msecond\x1b[0m\n10%\r20%')]] });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    void call('sandbox_exec', { sandbox_id, command: 'print and hang' }, withToken);
    await settled();
    vi.advanceTimersByTime(1250);
    await settled();
    expect(steps(messages)).toEqual([0.25, 1.25].map((progress) => ({ progressToken: 'p', progress, message: '20%' })));
  });

  test('tells how much of a context is copied', async () => {
    const { call, messages } = await connect();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    void call('sandbox_create', { label: 'copies for long' }, withToken);
    void call('sandbox_create', { label: 'copies for long' }); // without a token
    await settled();
    vi.advanceTimersByTime(1500);
    await settled();
    expect(steps(messages)).toEqual([0.25, 1.25].map((progress) => ({ progressToken: 'p', progress, message: 'copied 1 234 files, 1 byte' })));
  });

  test('tells at most 200 characters of a line, and none of them cut', async () => {
    const { call, messages } = await connect({}, { printed: [['stderr', Buffer.from(`${'x'.repeat(199)}😀 and more\n\n`)]] });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    void call('sandbox_exec', { sandbox_id, command: 'print and hang' }, withToken);
    await settled();
    vi.advanceTimersByTime(250);
    await settled();
    expect(steps(messages).map(({ message }) => message as string)).toEqual(['x'.repeat(199)]);
  });

  test('tells nothing when it ends at once, and nothing after its end', async () => {
    const { call, messages } = await connect({}, { printed: [['stdout', Buffer.from('x')]] });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    await call('sandbox_exec', { sandbox_id, command: 'print' }, withToken);
    vi.advanceTimersByTime(5000);
    await settled();
    expect(steps(messages)).toEqual([]);
  });

  test('tells nothing to a client that gave none', async () => {
    const { call, messages } = await connect();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    void call('sandbox_exec', { sandbox_id, command: 'hang' });
    await settled();
    vi.advanceTimersByTime(20_000);
    await settled();
    expect(messages).toHaveLength(1);
  });

  test('is cancelled by its id and not answered; cancelling it again, or what nobody asked, does no harm', async () => {
    const { call, ask, send, messages, lastId } = await connect();
    void call('sandbox_exec', { sandbox_id, command: 'hang' });
    const id = lastId();
    for (const requestId of [id, id, 987654321, 'nobody', null]) send({ method: 'notifications/cancelled', params: { requestId } });
    await ask('ping');
    expect(messages.filter((message) => message.id === id)).toEqual([]);
  });

  test('is cancelled when the connection ends', async () => {
    const { call, connection } = await connect();
    const info = vi.spyOn(log, 'info').mockImplementation(() => {});
    void call('sandbox_exec', { sandbox_id, command: 'hang' });
    await settled();
    await connection.close();
    await settled();
    expect(info.mock.calls.map(([line]) => line)).toEqual([expect.objectContaining({ method: 'sandbox.exec', outcome: 'CANCELED' })]);
  });

  test('shares its id with another without harm', async () => {
    const { ask, send, messages } = await connect();
    for (const command of ['one', 'two']) send({ id: 77, method: 'tools/call', params: { name: 'sandbox_exec', arguments: { sandbox_id, command } } });
    await ask('ping');
    await settled();
    expect(messages.filter((message) => message.id === 77)).toHaveLength(2);
  });
});
