import { afterEach, describe, expect, test, vi } from 'vitest';
import { log } from '../../src/log.ts';
import { createDispatch, type Dispatch, type Outcome } from '../../src/server/dispatch.ts';
import { tools } from '../../tools/index.ts';
import { createFakeSessions } from '../fixtures/fake-sessions.ts';

log.level = 'silent';
afterEach(() => void vi.restoreAllMocks());

const sandbox_id = 'sb_0123456789abcdefghij';
const dispatch = createDispatch(tools, { sessions: createFakeSessions(), principal: 'me' });
const call = (name: string, params: unknown, signal = new AbortController().signal, on: Dispatch = dispatch): Promise<Outcome> =>
  on.run(on.find(name)!, params, { signal, forModel: true });
const codeOf = (outcome: Outcome): string => (outcome.ok ? 'ok' : outcome.error.code);

describe('finding', () => {
  test('takes the dotted and the underscored name', () => {
    expect(dispatch.find('sandbox.exec')).toBe(dispatch.find('sandbox_exec'));
    expect(dispatch.find('sandbox.exec')?.name).toBe('sandbox.exec');
  });

  test.each(['', 'exec', 'sandbox', 'sandbox_nothing', '__proto__', 'constructor', 'toString', 'sandbox.__proto__', 'SANDBOX_EXEC'])(
    '%j is no tool',
    (name) => {
      expect(dispatch.find(name)).toBeUndefined();
    },
  );
});

describe('running', () => {
  test('hands checked parameters and the principal to the sessions', async () => {
    const sessions = createFakeSessions();
    const own = createDispatch(tools, { sessions, principal: 'me' });
    expect(codeOf(await call('sandbox.create', { context: 'none', label: null, limits: { cpus: 0.5, pids: null } }, undefined, own))).toBe('ok');
    await call('sandbox.exec', { sandbox_id, argv: ['true'], command: null }, undefined, own);
    expect(sessions.calls).toEqual([
      { context: 'none', limits: { cpus: 0.5 }, principal: 'me' },
      { argv: ['true'], nameErrors: true },
    ]);
  });

  test('gives errors of the contract as they are and hides all others behind INTERNAL', async () => {
    expect(codeOf(await call('sandbox.exec', { sandbox_id: 'sb_x', command: 'true' }))).toBe('SANDBOX_NOT_FOUND');
    expect(codeOf(await call('sandbox.create', { policy: 'pyhton' }))).toBe('POLICY_UNKNOWN');
    const broken = await call('sandbox.exec', { sandbox_id, command: 'break' });
    expect(broken).toMatchObject({ ok: false, error: { code: 'INTERNAL' } });
    expect(JSON.stringify(broken)).not.toContain('/secret');
  });

  test('calls whatever breaks after a cancellation CANCELED', async () => {
    const abort = new AbortController();
    const pending = call('sandbox.exec', { sandbox_id, command: 'hang' }, abort.signal);
    abort.abort();
    expect(codeOf(await pending)).toBe('CANCELED');
  });
});

describe('the log', () => {
  test('has one line a call, with ids and the outcome, and nothing that was given or said', async () => {
    const info = vi.spyOn(log, 'info').mockImplementation(() => {});
    await call('sandbox.exec', { sandbox_id, command: 'fail', stdin: 'SECRET', env: { TOKEN: 'SECRET' } });
    await call('sandbox.create', { policy: 'x'.repeat(500) });
    await call('sandbox.destroy', { sandbox_id: 'x'.repeat(500) });
    await call('sandbox.exec', { sandbox_id, command: 7, env: { TOKEN: ['SECRET'] } });
    expect(info.mock.calls).toEqual([
      [{ method: 'sandbox.exec', sandbox_id, ms: expect.any(Number) as number, outcome: 'ok' }, 'call'],
      [{ method: 'sandbox.create', policy: 'x'.repeat(64), ms: expect.any(Number) as number, outcome: 'POLICY_UNKNOWN' }, 'call'],
      [{ method: 'sandbox.destroy', sandbox_id: 'x'.repeat(64), ms: expect.any(Number) as number, outcome: 'ok' }, 'call'],
      [{ method: 'sandbox.exec', ms: expect.any(Number) as number, outcome: 'INVALID_PARAMS' }, 'call'],
    ]);
  });

  test('names the sandbox and the policy that a create made', async () => {
    const info = vi.spyOn(log, 'info').mockImplementation(() => {});
    await call('sandbox.create', {});
    expect(info.mock.calls[0]?.[0]).toMatchObject({ sandbox_id, policy: 'offline' });
  });

  test('shows the cause of what was hidden, as an error', async () => {
    const error = vi.spyOn(log, 'error').mockImplementation(() => {});
    await call('sandbox.exec', { sandbox_id, command: 'break' });
    expect(error.mock.calls).toEqual([[expect.objectContaining({ outcome: 'INTERNAL', err: expect.any(TypeError) as TypeError }), 'call']]);
  });
});
