import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { excerptsOf } from '../../src/session/excerpt.ts';
import type { StreamState } from '../../src/session/output.ts';

const directory = mkdtempSync(join(tmpdir(), 'cellwall-excerpt-'));
afterAll(() => rmSync(directory, { recursive: true }));

let streams = 0;

// A stream whose file holds all of it.
const withStream = async <T>(bytes: Buffer, use: (state: StreamState) => Promise<T>): Promise<T> => {
  const path = join(directory, `stream-${(streams += 1)}`);
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return await use({ fd, total: bytes.length, headEnd: bytes.length, tailStart: bytes.length, fileSize: bytes.length, ended: true });
  } finally {
    closeSync(fd);
  }
};

const excerpt = (bytes: Buffer, maxBytes: number, { from = 0, isFinal = true, nameErrors = false } = {}) =>
  withStream(bytes, async (stream) => {
    const empty = { ...stream, total: 0, headEnd: 0, tailStart: 0, fileSize: 0 };
    const part = { from, path: '/run/cellwall/ex_1/stdout', isFinal };
    const parts = { stdout: { stream, ...part }, stderr: { stream: empty, from: 0, path: '', isFinal: true } };
    return (await excerptsOf(parts, { maxBytes, nameErrors })).stdout;
  });

const GAP = /… (\d+) bytes omitted, see \/run\/cellwall\/ex_1\/stdout …\n/;

describe('what is shown of a stream', () => {
  test('is all of it when it fits', async () => {
    expect(await excerpt(Buffer.from('one\ntwo\n'), 8)).toEqual({ text: 'one\ntwo\n', cut: false, to: 8 });
  });

  test('is whole lines of head and tail with a line between that counts what is missing', async () => {
    const { text, cut } = await excerpt(Buffer.from(Array.from({ length: 100 }, (_, line) => `line ${line}\n`).join('')), 100);
    expect(cut).toBe(true);
    expect(text.split('\n')[0]).toBe('line 0');
    expect(text.trimEnd().split('\n').at(-1)).toBe('line 99');
    expect(text.split('\n').every((line) => /^(line \d+|… \d+ bytes omitted, see .* …|)$/.test(line))).toBe(true);
  });

  test('begins where the last delivery ended', async () => {
    expect((await excerpt(Buffer.from('old new'), 100, { from: 4 })).text).toBe('new');
  });

  test('holds a last character back that still lacks bytes, until the command has ended', async () => {
    const half = Buffer.from('aé').subarray(0, 2);
    expect(await excerpt(half, 100, { isFinal: false })).toEqual({ text: 'a', cut: false, to: 1 });
    expect(await excerpt(half, 100)).toEqual({ text: 'a\ufffd', cut: false, to: 2 });
  });

  test('gives to the other stream what one does not need', async () => {
    await withStream(Buffer.from('x'.repeat(90)), async (stream) => {
      const short = { ...stream, total: 5, headEnd: 5, tailStart: 5, fileSize: 5 };
      const part = { from: 0, path: '', isFinal: true };
      const shown = await excerptsOf({ stdout: { stream, ...part }, stderr: { stream: short, ...part } }, { maxBytes: 100, nameErrors: false });
      expect([shown.stdout.cut, shown.stderr.cut]).toEqual([false, false]);
    });
  });

  test('never cuts inside a character, never exceeds its bound by more than the line between, and counts exactly', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 }), fc.integer({ min: 1, max: 300 }), async (text, maxBytes) => {
        const bytes = Buffer.from(text);
        const shown = await excerpt(bytes, maxBytes);
        expect(shown.text).not.toContain('\ufffd');
        expect(shown.cut || shown.text === text).toBe(true);
        if (!shown.cut) return;
        const [before = '', omitted = '', after = ''] = shown.text.split(GAP);
        const head = text.startsWith(before) ? before : before.slice(0, -1); // a line end of ours, where the head ends inside a line
        expect(text.startsWith(head)).toBe(true);
        expect(text.endsWith(after)).toBe(true);
        expect(Buffer.byteLength(head) + Buffer.byteLength(after)).toBeLessThanOrEqual(maxBytes);
        expect(Buffer.byteLength(head) + Number(omitted) + Buffer.byteLength(after)).toBe(bytes.length);
      }),
    );
  });

  const build = (lines: readonly string[]): Buffer =>
    Buffer.from(
      [
        ...Array.from({ length: 5000 }, (_, line) => `compiling unit ${line}`),
        ...lines,
        ...Array.from({ length: 5000 }, (_, line) => `linking unit ${line}`),
        '',
      ].join('\n'),
    );

  test('names lines of what is left out that look like errors, for a reader who wants that, within the same bound', async () => {
    const bytes = build([
      'src/a.ts(3,1): error TS2304: Cannot find name',
      'ok: 0 errors',
      'no failures',
      'FAILED test_it',
      'FAILED test_it',
      'mirrors are in place',
    ]);
    const { text } = await excerpt(bytes, 2000, { nameErrors: true });
    const named = text.split('\n').filter((line) => line.startsWith('… in them: '));
    expect(named).toEqual(['… in them: src/a.ts(3,1): error TS2304: Cannot find name', '… in them: FAILED test_it']);
    expect(text.split(GAP)[2]).toMatch(/^… in them: /);
    expect(Buffer.byteLength(text)).toBeLessThan(2000 + 100);
    expect((await excerpt(bytes, 2000)).text).not.toContain('in them');
    expect((await excerpt(bytes, 20, { nameErrors: true })).text).not.toContain('in them');
  });

  test('names few of many errors, and what matters of a long line', async () => {
    const many = await excerpt(build(Array.from({ length: 900 }, (_, line) => `error ${line}`)), 8000, { nameErrors: true });
    expect(many.text.match(/in them/g)).toHaveLength(5);
    const long = await excerpt(build([`${'x'.repeat(100_000)} fatal: it broke ${'y'.repeat(400_000)}`]), 8000, { nameErrors: true });
    expect(long.text).toMatch(/… in them: …x+ fatal: it broke y+…\n/);
    expect(long.text.split('\n').find((line) => line.includes('fatal'))!.length).toBeLessThan(230);
  });
});
