import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Batch } from '../../src/syscall/batch.ts';
import { createPipe } from '../../src/syscall/pipe.ts';
import { AT_EMPTY_PATH, AT_FDCWD, O_CREAT, O_RDONLY, O_WRONLY } from '../../src/syscall/constants.ts';

const directory = mkdtempSync(join(tmpdir(), 'cellwall-batch-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('a batch', () => {
  it('makes its calls in order, and goes on after one that fails', () => {
    const batch = new Batch(8, 4096);
    const made = batch.add('mkdirat', AT_FDCWD, batch.at(batch.text(`${directory}/d`)), 0o700);
    const again = batch.add('mkdirat', AT_FDCWD, batch.at(batch.text(`${directory}/d`)), 0o700);
    const below = batch.add('mkdirat', AT_FDCWD, batch.at(batch.text(`${directory}/d/e`)), 0o700);
    batch.run();
    expect([made, again, below].map((call) => batch.result(call))).toEqual([0, -17, 0]);
    expect(statSync(`${directory}/d/e`).isDirectory()).toBe(true);
    expect(() => batch.value(again, 'mkdirat')).toThrow('mkdirat: EEXIST');
  });

  it('gives what a call returned to the next', () => {
    const batch = new Batch(8, 4096);
    const content = batch.space(5);
    batch.bytes.write('hello', content);
    const opened = batch.add('openat', AT_FDCWD, batch.at(batch.text(`${directory}/written`)), O_WRONLY | O_CREAT, 0o600);
    const written = batch.addOnResult('write', batch.at(content), 5);
    batch.run();
    closeSync(batch.value(opened, 'openat'));
    expect(batch.value(written, 'write')).toBe(5);
    expect(readFileSync(`${directory}/written`, 'utf8')).toBe('hello');
  });

  it('run aside blocks nobody: what it waits for can be done meanwhile', async () => {
    const { read, write } = createPipe();
    const batch = new Batch(8, 4096);
    const content = batch.space(8);
    const call = batch.add('read', read, batch.at(content), 8);
    const running = batch.runAside();
    writeSync(write, 'late');
    await running;
    expect([batch.result(call), batch.bytes.toString('latin1', content, content + 4)]).toEqual([4, 'late']);
    for (const fd of [read, write]) closeSync(fd);
  });

  it('gives what failed to the next as no descriptor', () => {
    const batch = new Batch(8, 4096);
    batch.add('openat', AT_FDCWD, batch.at(batch.text(`${directory}/nothing`)), O_RDONLY);
    const read = batch.addOnResult('read', batch.at(batch.space(8)), 8);
    batch.run();
    expect(batch.result(read)).toBe(-9);
  });

  it('can be run again and again, in the same space', () => {
    const batch = new Batch(2, 4096);
    for (let round = 0; round < 2000; round++) {
      batch.clear();
      batch.text('x'.repeat(3000));
      batch.add('close', -1);
      batch.run();
    }
    expect(() => batch.text('x'.repeat(3000))).toThrow(RangeError);
  });

  it('sees what statx tells', () => {
    writeFileSync(`${directory}/file`, 'x'.repeat(1234));
    symlinkSync('file', `${directory}/link`);
    const fd = openSync(`${directory}/link`, 'r');
    const batch = new Batch(2, 4096);
    const stat = batch.space(256);
    const call = batch.add('statx', fd, batch.at(batch.text('')), AT_EMPTY_PATH, 0x7ff, batch.at(stat));
    batch.run();
    closeSync(fd);
    expect(batch.result(call)).toBe(0);
    expect(batch.bytes.readBigUInt64LE(stat + 40)).toBe(1234n);
    expect(batch.bytes.readBigUInt64LE(stat + 32)).toBe(statSync(`${directory}/file`, { bigint: true }).ino);
  });

  it('takes no more calls than it was made for, and no text with a NUL', () => {
    const batch = new Batch(1, 4096);
    batch.add('close', -1);
    expect(() => batch.add('close', -1)).toThrow('a batch takes 1 calls');
    expect(() => batch.text('a\0b')).toThrow(TypeError);
  });
});
