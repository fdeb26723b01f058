import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWaker, Poll } from '../../src/syscall/epoll.ts';
import { createPipe, widenPipe, type Pipe } from '../../src/syscall/pipe.ts';
import { copyRange, moveFromPipe } from '../../src/syscall/splice.ts';
import { recording } from './recorder.ts';

let directory: string;
let pipe: Pipe;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-pipe-'));
  pipe = createPipe();
});
afterEach(() => {
  for (const fd of [pipe.read, pipe.write]) {
    try {
      closeSync(fd);
    } catch {
      // the test has closed it
    }
  }
  rmSync(directory, { recursive: true, force: true });
});

const file = (name: string, content = ''): number => {
  writeFileSync(join(directory, name), content);
  return openSync(join(directory, name), 'r+');
};

describe('a pipe', () => {
  it('carries bytes from its write end to its read end, and nothing inherits either', () => {
    writeSync(pipe.write, 'hello');
    const bytes = Buffer.alloc(16);
    expect(bytes.toString('utf8', 0, readSync(pipe.read, bytes))).toBe('hello');
    for (const fd of [pipe.read, pipe.write]) expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^flags:\t0?2[0-7]{6}$/m);
  });

  it('that may not be widened stays as it is', () => {
    recording({ fcntl: { errno: 1 } }, ({ calls }) => {
      expect(() => widenPipe(pipe, 1 << 20)).not.toThrow();
      expect(calls).toEqual([['fcntl', pipe.write, 1031, 1 << 20]]);
    });
  });
});

describe('moving from a pipe into a file', () => {
  it('puts the bytes where they belong, and tells an empty pipe from one at its end', () => {
    const target = file('target', '0123456789');
    writeSync(pipe.write, 'abcdef');
    expect([moveFromPipe(pipe.read, target, 2, 4), moveFromPipe(pipe.read, target, 8, 100), moveFromPipe(pipe.read, target, 0, 100)]).toEqual([4, 2, null]);
    closeSync(pipe.write);
    expect(moveFromPipe(pipe.read, target, 0, 100)).toBe(0);
    expect(readFileSync(join(directory, 'target'), 'utf8')).toBe('01abcd67ef');
    closeSync(target);
  });

  it('goes on after a signal, and is an error when the file cannot be written', () => {
    recording({ splice: [{ errno: 4 }, 3] }, ({ calls }) => {
      expect(moveFromPipe(5, 6, 0, 10)).toBe(3);
      expect(calls.length).toBe(2);
    });
    recording({ splice: { errno: 28 } }, () => expect(() => moveFromPipe(5, 6, 0, 10)).toThrow('splice: ENOSPC'));
  });
});

it('a range is copied between files, as far as the source goes', () => {
  const [from, to] = [file('from', 'abcdefgh'), file('to', '0123456789')];
  copyRange(from, 2, to, 1, 3);
  copyRange(from, 6, to, 8, 1000);
  expect(readFileSync(join(directory, 'to'), 'utf8')).toBe('0cde4567gh');
  closeSync(from);
  closeSync(to);
});

describe('polling', () => {
  it('tells which descriptors can be read or have come to their end, and no others', () => {
    const [poll, other] = [new Poll(), createPipe()];
    poll.add(pipe.read);
    poll.add(other.read);
    expect(poll.wait(0)).toEqual([]);
    writeSync(pipe.write, 'x');
    expect(poll.wait(-1)).toEqual([pipe.read]);
    closeSync(other.write);
    expect([...poll.wait(-1)].sort((a, b) => a - b)).toEqual([pipe.read, other.read].sort((a, b) => a - b));
    poll.remove(pipe.read);
    expect(poll.wait(-1)).toEqual([other.read]);
    closeSync(other.read);
  });

  it('is woken from elsewhere', () => {
    const [poll, waker] = [new Poll(), createWaker()];
    poll.add(waker.fd);
    expect(poll.wait(0)).toEqual([]);
    waker.wake();
    expect(poll.wait(-1)).toEqual([waker.fd]);
    closeSync(waker.fd);
  });
});
