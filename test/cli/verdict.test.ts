import { describe, expect, it } from 'vitest';
import { StreamLost } from '../../src/cli/streams.ts';
import { exitCodeOfSignal, verdictOn, verdictOnFailure } from '../../src/cli/verdict.ts';
import { SandboxError } from '../../src/errors.ts';
import { StartError } from '../../src/runtime/runtime.ts';
import type { ExecResult } from '../../src/session/requests.ts';

const ended = (status: ExecResult['status'], rest: Partial<ExecResult> = {}) =>
  verdictOn({ status, exit_code: null, signal: null, duration_ms: 1234, ...rest });

describe('a command that has ended', () => {
  it.each([0, 1, 124, 125, 255])('gives its own exit code: %d', (exit_code) => expect(ended('exited', { exit_code })).toEqual({ exitCode: exit_code }));

  it.each([
    ['SIGINT', 130],
    ['SIGKILL', 137],
    ['SIGSEGV', 139],
    ['SIG34', 162],
  ])('by %s gives %d', (signal, exitCode) => expect(ended('signaled', { signal })).toEqual({ exitCode }));

  it('by the clock gives 124 and is told', () => {
    expect(ended('timed_out', { signal: 'SIGKILL' })).toEqual({ exitCode: 124, warning: expect.stringContaining('killed after 1.2 s') as string });
  });

  it('by the end of its sandbox gives 124 and is told', () => {
    expect(ended('canceled', { signal: 'SIGKILL' })).toEqual({ exitCode: 124, warning: expect.stringContaining('lifetime') as string });
  });

  it('by lack of memory gives 137 and is told', () => {
    expect(ended('oom_killed', { signal: 'SIGKILL' })).toEqual({ exitCode: 137, warning: expect.stringContaining('out of memory') as string });
  });
});

describe('a command that could not be run, or not to its end', () => {
  const start = (flaw: StartError['flaw']) => verdictOnFailure(new SandboxError('EXEC_FAILED', 'why', { cause: new StartError('why', flaw) }));

  it.each([
    ['missing', 127],
    ['unusable', 126],
    ['other', 125],
  ] as const)('a program that is %s gives %d', (flaw, exitCode) => expect(start(flaw)).toEqual({ exitCode, failure: 'why' }));

  it('any other error of the contract gives 125 with what to do', () => {
    expect(verdictOnFailure(new SandboxError('HOST_FULL', 'no room', { hint: 'make some' }))).toEqual({ exitCode: 125, failure: 'no room\nhint: make some' });
  });

  it('no hint names a tool of the server', () => {
    expect(verdictOnFailure(new SandboxError('SANDBOX_FAILED', 'gone'))).toEqual({ exitCode: 125, failure: expect.not.stringContaining('sandbox_') as string });
  });

  it.each([
    ['EPIPE', 141],
    ['EIO', 129],
    ['SIGINT', 130],
  ])('output that nobody takes (%s) gives %d and is not told', (code, exitCode) => {
    expect(verdictOnFailure(new StreamLost('stdout', code))).toEqual({ exitCode });
  });

  it('output that cannot be written gives 125 and is told', () => {
    expect(verdictOnFailure(new StreamLost('stdout', 'ENOSPC'))).toEqual({ exitCode: 125, failure: expect.stringContaining('ENOSPC') as string });
  });

  it('of what nobody foresaw nothing is known', () => expect(verdictOnFailure(new TypeError('broken'))).toBeNull());
});

it('an exit code of a signal is 128 and its number', () => expect(['SIGHUP', 'SIGTERM'].map(exitCodeOfSignal)).toEqual([129, 143]));
