import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/syscall/call.ts';
import { launchCommand } from '../../src/syscall/launch.ts';
import { isGone, openProcess, reap, reapIfEnded, signalProcess, waitForEnd, type Child } from '../../src/syscall/process.ts';

const [SIGTERM, SIGKILL] = [15, 9];

const start = async (line: string): Promise<Child> => {
  const nothing = openSync('/dev/null', 'r+');
  return launchCommand({ path: '/bin/sh', argv: ['sh', '-c', line], env: [], stdio: [nothing, nothing, nothing] }).finally(() => closeSync(nothing));
};
const FOREVER = 'exec sleep 1000000';

describe('waiting for the end', () => {
  it('is over at once when the time is, and says that the process lives', async () => {
    const child = await start(FOREVER);
    expect(await waitForEnd(child, 0)).toBe(false);
    reap(child);
  });

  it('says that it has ended, as often as it is asked until it is reaped', async () => {
    const child = await start('exit 5');
    expect([await waitForEnd(child, 30_000), await waitForEnd(child, 0)]).toEqual([true, true]);
    expect(reap(child)).toEqual({ code: 5, signal: null });
  });

  it("works for a process that is nobody's child here", async () => {
    const child = await start('sleep 1000000 & echo $! > /dev/null; wait');
    const other = openProcess(child.pid);
    signalProcess(child, SIGKILL);
    expect(await waitForEnd(other, 30_000)).toBe(true);
    closeSync(other.pidfd);
    reap(child);
  });
});

describe('reaping', () => {
  it('tells an exit code from a signal', async () => {
    const [exited, terminated] = [await start('exit 200'), await start(FOREVER)];
    signalProcess(terminated, SIGTERM);
    await Promise.all([waitForEnd(exited, 30_000), waitForEnd(terminated, 30_000)]);
    expect([reap(exited), reap(terminated)]).toEqual([
      { code: 200, signal: null },
      { code: null, signal: SIGTERM },
    ]);
  });

  it('ends a process that still lives', async () => {
    expect(reap(await start(FOREVER))).toEqual({ code: null, signal: SIGKILL });
  });

  it('answers null for what is no child of ours, and leaves it without a descriptor', async () => {
    const child = await start('exit 0');
    const other = openProcess(child.pid);
    reap(child);
    expect(reap(other)).toBeNull();
    expect(() => closeSync(other.pidfd)).toThrow('EBADF');
  });

  it('by pid takes only what has ended', async () => {
    const child = await start(FOREVER);
    expect(reapIfEnded(child.pid)).toBe(false);
    signalProcess(child, SIGKILL);
    await waitForEnd(child, 30_000);
    expect([reapIfEnded(child.pid), reapIfEnded(child.pid)]).toEqual([true, true]);
    closeSync(child.pidfd);
  });
});

describe('a process that is gone', () => {
  it('may be sent a signal without an error', async () => {
    const child = await start('exit 0');
    const other = openProcess(child.pid);
    reap(child);
    expect(() => signalProcess(other, SIGTERM)).not.toThrow();
    closeSync(other.pidfd);
  });

  it('cannot be opened: ESRCH, which isGone knows', () => {
    const highest = 4_194_304; // PID_MAX_LIMIT: no process has it
    expect(() => openProcess(highest)).toThrow('pidfd_open: ESRCH');
    expect([isGone(new SyscallError('pidfd_open', 3)), isGone(new SyscallError('pidfd_open', 1)), isGone(new Error('ESRCH'))]).toEqual([true, false, false]);
  });
});

it('a signal that may not be sent is an error', async () => {
  const child = await start(FOREVER);
  expect(() => signalProcess(child, 999)).toThrow('pidfd_send_signal: EINVAL');
  reap(child);
});
