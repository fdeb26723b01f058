import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { describe, expect, it } from 'vitest';
import { call, errnoName, hasCode, SyscallError } from '../../src/syscall/call.ts';
import { recording } from './recorder.ts';

const { EINTR, EINVAL, EPERM, ENOENT } = constants.errno;

/** What `use` throws. */
const thrownBy = (use: () => unknown): unknown => {
  try {
    use();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe('a failed call', () => {
  it('is an error that names the call, the errno and the arguments', () => {
    const error = recording({ mount: { errno: EPERM } }, () => thrownBy(() => call('mount', 'tmpfs', '/x', 'tmpfs', 0, null)));
    expect(error).toBeInstanceOf(SyscallError);
    expect(error).toMatchObject({ syscall: 'mount', code: 'EPERM', args: ['tmpfs', '/x', 'tmpfs', 0, null], message: 'mount: EPERM' });
  });

  it('shows of bytes only how many there were', () => {
    const error = recording({ openat2: { errno: ENOENT } }, () => thrownBy(() => call('openat2', 3, Buffer.from('secret\0'), Buffer.alloc(24), 24)));
    expect(error).toMatchObject({ args: [3, '<7 bytes>', '<24 bytes>', 24] });
  });

  it('is made again as often as a signal interrupts it', () => {
    recording({ flock: [{ errno: EINTR }, { errno: EINTR }, 0] }, ({ calls }) => {
      expect(call('flock', 9, 2)).toBe(0);
      expect(calls).toEqual(Array.from({ length: 3 }, () => ['flock', 9, 2]));
    });
  });

  it('is told as itself after an interruption', () => {
    const error = recording({ flock: [{ errno: EINTR }, { errno: EINVAL }] }, () => thrownBy(() => call('flock', 9, 2)));
    expect(error).toMatchObject({ syscall: 'flock', code: 'EINVAL' });
  });

  it('has the errno of the machine, read before anything else happens', () => {
    expect(thrownBy(() => call('close', 1_000_000))).toMatchObject({ syscall: 'close', code: 'EBADF' });
    expect(thrownBy(() => call('fcntl', 0, 999_999, 0))).toMatchObject({ syscall: 'fcntl', code: 'EINVAL' });
  });
});

it('an errno has the name that Node gives it, and a number without a name says so', () => {
  const known = Object.values(constants.errno).filter((number) => !getSystemErrorName(-number).startsWith('Unknown'));
  for (const number of known) expect(errnoName(number)).toBe(getSystemErrorName(-number));
  expect(errnoName(constants.errno.EWOULDBLOCK)).toBe('EAGAIN');
  expect(errnoName(4000)).toBe('errno 4000');
});

it('an error has a code only when it is one of those asked for', () => {
  const error = new SyscallError('open', ENOENT);
  expect([hasCode(error, 'ENOENT'), hasCode(error, 'EPERM', 'ENOENT'), hasCode(error, 'EPERM'), hasCode({ code: 'ENOENT' }, 'ENOENT')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

it('the recorder fails on a call that nobody prepared', () => {
  expect(() => recording({}, () => call('close', 1_000_000))).toThrow('unexpected call: close');
  expect(call('fcntl', 1, 1, 0)).toBeGreaterThanOrEqual(0); // and libc is itself again
});
