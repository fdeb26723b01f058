import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { excerptsOf } from '../../src/session/excerpt.ts';
import type { StreamState } from '../../src/session/output.ts';

const directory = mkdtempSync(join(tmpdir(), 'cellwall-excerpt-'));
afterAll(() => rmSync(directory, { recursive: true }));

// A stream whose file holds all of it.
const withStream = <T>(bytes: Buffer, use: (state: StreamState) => T): T => {
  const path = join(directory, 'stream');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return use({ fd, total: bytes.length, headEnd: bytes.length, tailStart: bytes.length, fileSize: bytes.length, ended: true });
  } finally {
    closeSync(fd);
  }
};

const excerpt = (bytes: Buffer, maxBytes: number, { from = 0, isFinal = true } = {}) =>
  withStream(bytes, (stream) => {
    const empty = { ...stream, total: 0, headEnd: 0, tailStart: 0, fileSize: 0 };
    const part = { from, path: '/run/cellwall/ex_1/stdout', isFinal };
    return excerptsOf({ stdout: { stream, ...part }, stderr: { stream: empty, from: 0, path: '', isFinal: true } }, maxBytes).stdout;
  });

const GAP = /… (\d+) bytes omitted, see \/run\/cellwall\/ex_1\/stdout …\n/;

describe('what is shown of a stream', () => {
  test('is all of it when it fits', () => {
    expect(excerpt(Buffer.from('one\ntwo\n'), 8)).toEqual({ text: 'one\ntwo\n', cut: false, to: 8 });
  });

  test('is whole lines of head and tail with a line between that counts what is missing', () => {
    const { text, cut } = excerpt(Buffer.from(Array.from({ length: 100 }, (_, line) => `line ${line}\n`).join('')), 100);
    expect(cut).toBe(true);
    expect(text.split('\n')[0]).toBe('line 0');
    expect(text.trimEnd().split('\n').at(-1)).toBe('line 99');
    expect(text.split('\n').every((line) => /^(line \d+|… \d+ bytes omitted, see .* …|)$/.test(line))).toBe(true);
  });

  test('begins where the last delivery ended', () => {
    expect(excerpt(Buffer.from('old new'), 100, { from: 4 }).text).toBe('new');
  });

  test('holds a last character back that still lacks bytes, until the command has ended', () => {
    const half = Buffer.from('aé').subarray(0, 2);
    expect(excerpt(half, 100, { isFinal: false })).toEqual({ text: 'a', cut: false, to: 1 });
    expect(excerpt(half, 100)).toEqual({ text: 'a\ufffd', cut: false, to: 2 });
  });

  test('gives to the other stream what one does not need', () => {
    withStream(Buffer.from('x'.repeat(90)), (stream) => {
      const short = { ...stream, total: 5, headEnd: 5, tailStart: 5, fileSize: 5 };
      const shown = excerptsOf({ stdout: { stream, from: 0, path: '', isFinal: true }, stderr: { stream: short, from: 0, path: '', isFinal: true } }, 100);
      expect([shown.stdout.cut, shown.stderr.cut]).toEqual([false, false]);
    });
  });

  test('never cuts inside a character, never exceeds its bound by more than the line between, and counts exactly', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 }), fc.integer({ min: 1, max: 300 }), (text, maxBytes) => {
        const bytes = Buffer.from(text);
        const shown = excerpt(bytes, maxBytes);
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
});
