import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Exit } from '../../src/runtime/runtime.ts';
import { systemClock } from '../../src/session/clock.ts';
import { Exec } from '../../src/session/exec.ts';
import type { Outputs, Stream, StreamState } from '../../src/session/output.ts';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'cellwall-follow-'));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** An output that shows what is in it only as far as its follower has read plus `ahead` bytes: what lies beyond is still in the pipe, because the command waits. */
const createOutput = (content: Readonly<Record<Stream, string>>, ahead: number) => {
  const followed: Record<Stream, number[]> = { stdout: [], stderr: [] };
  const files = { stdout: join(place, 'stdout'), stderr: join(place, 'stderr') };
  for (const stream of ['stdout', 'stderr'] as const) writeFileSync(files[stream], content[stream]);
  const state = (stream: Stream): StreamState => {
    const total = Math.min(content[stream].length, (followed[stream].at(-1) ?? 0) + ahead);
    return { fd: openSync(files[stream], 'r'), total, headEnd: total, tailStart: total, fileSize: total, ended: false };
  };
  const outputs: Outputs = {
    open: () => ({
      sync: async () => ({ stdout: state('stdout'), stderr: state('stderr') }),
      follow: (stream, position) => void followed[stream].push(position),
      forget: () => {},
    }),
    close: async () => {},
  };
  return { outputs, followed };
};

const start = (outputs: Outputs, exit: Promise<Exit>, isFollowed = true): Promise<Exec> =>
  Exec.start({
    process: { id: 'ex_1', argv: ['true'], env: {}, cwd: '/' },
    stdin: null,
    keepStdin: false,
    terminal: null,
    timeoutMs: 0,
    isFollowed,
    runDirectory: place,
    outputs,
    clock: systemClock,
    start: async () => ({ exit, signal: async () => {}, killAll: async () => {} }),
    sandboxEnd: new Promise(() => {}),
  });

const ENDED = Promise.resolve({ code: 0, signal: null });
const never = new AbortController().signal;

it('what a command that had to wait left in its pipe is handed on after its end', async () => {
  const { outputs } = createOutput({ stdout: 'as far as it may be ahead, and the rest', stderr: 'e' }, 30);
  const exec = await start(outputs, ENDED);
  const said: Record<Stream, string> = { stdout: '', stderr: '' };
  await exec.follow((stream, bytes) => void (said[stream] += String(bytes)), never);
  expect(said).toEqual({ stdout: 'as far as it may be ahead, and the rest', stderr: 'e' });
});

it('a command that will be followed waits for its follower from its first byte on, others for nobody', async () => {
  const [one, other] = [createOutput({ stdout: '', stderr: '' }, 1), createOutput({ stdout: '', stderr: '' }, 1)];
  await start(one.outputs, ENDED);
  await start(other.outputs, ENDED, false);
  expect([one.followed, other.followed]).toEqual([
    { stdout: [0], stderr: [0] },
    { stdout: [], stderr: [] },
  ]);
});

it('a command waits no more for a follower that has gone, of its own will or because it failed', async () => {
  for (const take of [async () => {}, async () => Promise.reject(new Error('full'))]) {
    const { outputs, followed } = createOutput({ stdout: 'some', stderr: '' }, 100);
    const exec = await start(outputs, new Promise(() => {}));
    const stop = new AbortController();
    const following = exec.follow(async () => {
      await take();
      stop.abort();
    }, stop.signal);
    await following.catch(() => undefined);
    expect([followed.stdout.at(-1), followed.stderr.at(-1)]).toEqual([Infinity, Infinity]);
  }
});
