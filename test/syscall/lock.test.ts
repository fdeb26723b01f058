import { closeSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tryLock } from '../../src/syscall/lock.ts';
import { recording } from './recorder.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('a lock has one holder at a time, and is free again when its descriptor is closed', () => {
  const path = join(directory, 'lock');
  const held = tryLock(path);
  expect(held).toBeTypeOf('number');
  const descriptors = readdirSync('/proc/self/fd').length;
  expect(tryLock(path)).toBeNull();
  expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
  closeSync(held!);
  const again = tryLock(path);
  expect(again).toBeTypeOf('number');
  closeSync(again!);
});

it("a lock in a directory that is gone is nobody's", () => {
  expect(tryLock(join(directory, 'gone/lock'))).toBeNull();
});

it('a lock that cannot be taken for another reason is an error', () => {
  const [EWOULDBLOCK, ENOLCK] = [11, 37];
  recording({ flock: { errno: EWOULDBLOCK } }, () => expect(tryLock(join(directory, 'a'))).toBeNull());
  recording({ flock: { errno: ENOLCK } }, () => expect(() => tryLock(join(directory, 'a'))).toThrow('flock: ENOLCK'));
});
