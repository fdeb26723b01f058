/** The threads that search, as they were built: a thread takes no TypeScript. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROOT } from '../../imports.ts';
import type { seek as Seek } from '../../../src/workspace/search/seekers.ts';
import type { SearchJob } from '../../../src/workspace/search/searchtree.ts';

const { seek } = (await import(join(ROOT, 'dist/src/workspace/search/seekers.js'))) as { readonly seek: typeof Seek };

let place: string;
let door: number;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'cellwall-seekers-'));
  const noise = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => 97 + (((index * index * 7919) % 104_729) % 11)));
  writeFileSync(join(place, 'noise'), noise);
  door = openSync(place, 'r');
});
afterAll(() => {
  closeSync(door);
  rmSync(place, { recursive: true });
});

const job = (pattern: string): SearchJob => ({
  door,
  start: { fd: door, size: 0, isDirectory: true },
  place: '/',
  isNamed: false,
  agent: { uid: process.getuid!(), gid: process.getgid!() },
  pattern,
  glob: null,
  ignoreCase: false,
  contextLines: 0,
  limit: 1,
  maxBytes: 1000,
});
const SLOW = '[a-e].{1,400}[f-h].{1,400}[XY]';
const never = (): AbortSignal => new AbortController().signal;

it('a search that takes longer than it may is TIMED_OUT, also in the middle of a piece', async () => {
  await expect(seek(job(SLOW), 200, never())).rejects.toMatchObject({ code: 'TIMED_OUT', message: 'the search was not done after 0.2 s' });
  expect((await seek(job('a'), 10_000, never())).files).toEqual(['/noise']);
});

it('of many at a time each is made, and one that is no longer wanted while it waits is not', async () => {
  const unwanted = new AbortController();
  const all = Array.from({ length: 10 }, () => seek(job('a'), 10_000, never()));
  const waiting = expect(seek(job('a'), 10_000, unwanted.signal)).rejects.toThrow('no longer');
  unwanted.abort(new Error('no longer'));
  await waiting;
  for (const { files } of await Promise.all(all)) expect(files).toEqual(['/noise']);
});

it('a failure of a thread is one of its search alone', async () => {
  await expect(seek({ ...job('a'), start: { fd: -1, size: 0, isDirectory: true } }, 10_000, never())).rejects.toThrow('EBADF');
  await expect(seek(job('(?=a)'), 10_000, never())).rejects.toMatchObject({ code: 'INVALID_PARAMS' });
  expect((await seek(job('a'), 10_000, never())).files).toEqual(['/noise']);
});
