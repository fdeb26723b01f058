import { closeSync, mkdtempSync, readFileSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KEPT, Spool, type Snapshot } from '../../src/session/spool.ts';
import { createPipe, widenPipe, type Pipe } from '../../src/syscall/pipe.ts';

const MIB = 1024 * 1024;
let directory: string;
let pipe: Pipe;
let spool: Spool;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-spool-'));
  pipe = createPipe();
  widenPipe(pipe, MIB);
  spool = new Spool(pipe.read, 'pipe', join(directory, 'stdout'));
});
afterEach(() => {
  spool.close();
  closeSync(pipe.read);
  rmSync(directory, { recursive: true });
});

// A pattern of prime length: every position can be told from those a power of two away.
const PATTERN = Buffer.from(Uint8Array.from({ length: 65_521 }, (_, index) => (index * 31 + (index >> 8)) & 0xff));
const STREAM = Buffer.alloc(46 * MIB, PATTERN);
const bytesFrom = (start: number, length: number): Buffer => STREAM.subarray(start, start + length);

const write = (total: number): void => {
  for (let start = spool.total; start < total;) {
    const part = Math.min(MIB / 2, total - start);
    writeSync(pipe.write, bytesFrom(start, part));
    spool.drain();
    start += part;
  }
};

const end = (): void => {
  closeSync(pipe.write);
  spool.drain();
};

const readAt = ({ fd, total, headEnd, fileSize }: Snapshot, position: number): number => {
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, position < headEnd ? position : fileSize - (total - position));
  return byte[0]!;
};

describe('the file of a stream', () => {
  test('is the stream itself up to 16 MiB', () => {
    write(3 * MIB);
    end();
    expect(readFileSync(join(directory, 'stdout')).equals(bytesFrom(0, 3 * MIB))).toBe(true);
    expect(spool.ended).toBe(true);
  });

  test('of more than 16 MiB holds head, a line that counts what is left out, and tail', () => {
    const total = 45 * MIB + 7;
    write(total);
    end();
    const file = readFileSync(join(directory, 'stdout'));
    const line = Buffer.from(`\n… ${total - 2 * KEPT} bytes omitted …\n`);
    expect(file.length).toBe(2 * KEPT + line.length);
    expect(file.subarray(0, KEPT).equals(bytesFrom(0, KEPT))).toBe(true);
    expect(file.subarray(KEPT, KEPT + line.length).equals(line)).toBe(true);
    expect(file.subarray(-KEPT).equals(bytesFrom(total - KEPT, KEPT))).toBe(true);
  });

  test('stays bounded while the command writes, and is exact when it pauses', () => {
    write(45 * MIB);
    expect(statSync(join(directory, 'stdout')).size).toBeLessThan(33 * MIB);
    spool.compact();
    expect(readFileSync(join(directory, 'stdout')).includes(`${29 * MIB} bytes omitted`)).toBe(true);
    expect(spool.total).toBe(45 * MIB);
    closeSync(pipe.write);
  });

  test('leaves nothing out that its follower has not read, and makes the command wait', () => {
    spool.follow(0);
    write(33 * MIB);
    spool.compact();
    expect(spool.isAhead).toBe(true);
    expect(statSync(join(directory, 'stdout')).size).toBe(33 * MIB);
    spool.follow(33 * MIB);
    spool.compact();
    expect([spool.isAhead, statSync(join(directory, 'stdout')).size < 17 * MIB]).toEqual([false, true]);
    closeSync(pipe.write);
  });

  test('can be read by position from a snapshot, whatever is written afterwards', () => {
    write(40 * MIB);
    spool.compact();
    const snapshot = spool.snapshot();
    write(44 * MIB);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: snapshot.total - 1 }), (position) => {
        if (position >= snapshot.headEnd && position < snapshot.tailStart) return;
        expect(readAt(snapshot, position)).toBe(STREAM[position]);
      }),
    );
    closeSync(snapshot.fd);
    end();
  });

  test('is readable for others and cannot be written by them, whatever the umask', () => {
    expect(statSync(join(directory, 'stdout')).mode & 0o777).toBe(0o644);
    closeSync(pipe.write);
  });
});

test('a stream without a source is empty and has ended', () => {
  const empty = new Spool(-1, 'none', join(directory, 'stderr'));
  expect([empty.ended, empty.total]).toEqual([true, 0]);
  closeSync(pipe.write);
});
