import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SandboxError } from '../../../src/errors.ts';
import { readContent, type Source, type Window } from '../../../src/workspace/files/content.ts';

const NEVER = new AbortController().signal;
const REACH = 64 * 1024 * 1024;

const sourceOf = (bytes: Buffer, rest: Partial<Source> = {}): Source => ({
  read: (into, position) => bytes.copy(into, 0, Math.min(position, bytes.length)),
  reach: REACH,
  size: bytes.length,
  mode: '0644',
  mtime: '1970-01-01T00:00:00.000Z',
  ...rest,
});

/** A file that never ends; remembers how far it was read. */
const endless = (text: string): Source & { furthest: number } => {
  const block = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)).slice(0, 65_536));
  const source = {
    ...sourceOf(block, { size: Number.MAX_SAFE_INTEGER }),
    furthest: 0,
    read: (into: Buffer, position: number) => {
      source.furthest = Math.max(source.furthest, position + into.length);
      for (let filled = 0; filled < into.length;) filled += block.copy(into, filled, (position + filled) % block.length);
      return into.length;
    },
  };
  return source;
};

const read = async (source: Source | string | Buffer, window: Partial<Window> = {}) =>
  readContent(
    typeof source === 'string' || Buffer.isBuffer(source) ? sourceOf(Buffer.from(source)) : source,
    { offset: 1, limit: 400, encoding: 'auto', maxBytes: 32_000, ...window },
    'f',
    NEVER,
  );

const codeOf = async (reading: Promise<unknown>): Promise<string> => {
  try {
    return JSON.stringify(await reading);
  } catch (error) {
    return error instanceof SandboxError ? `${error.code}: ${error.message}` : String(error);
  }
};

/** The lines of a text, each with its newline. */
const linesOf = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

describe('a window of lines', () => {
  const TEXT = fc
    .array(fc.constantFrom('\n', '\n', 'a', 'bc', 'é', '漢', '🎈', '\r', '"', '\ufeff', '\u007f'), { maxLength: 60 })
    .map((parts) => parts.join(''));
  const WINDOW = fc.record({ offset: fc.integer({ min: 1, max: 30 }), limit: fc.integer({ min: 1, max: 30 }), maxBytes: fc.integer({ min: 1, max: 80 }) });

  it('holds what slicing the lines in memory gives', async () => {
    await fc.assert(
      fc.asyncProperty(TEXT, WINDOW, async (text, { offset, limit }) => {
        const lines = linesOf(text);
        const wanted = lines.slice(offset - 1, offset - 1 + limit);
        expect(await read(text, { offset, limit })).toMatchObject({
          content: wanted.join(''),
          lines: wanted.length,
          offset,
          size: Buffer.byteLength(text),
          total_lines: lines.length,
          truncated: offset - 1 + limit < lines.length,
        });
      }),
    );
  });

  it('never exceeds max_bytes, is whole lines or the beginning of one, and goes on where it ended', async () => {
    await fc.assert(
      fc.asyncProperty(TEXT, WINDOW, async (text, window) => {
        const lines = linesOf(text);
        const result = await read(text, window);
        if (result.type !== 'file') throw new Error(result.type);
        const from = lines.slice(window.offset - 1).join('');
        expect(Buffer.byteLength(result.content)).toBeLessThanOrEqual(window.maxBytes);
        expect(from.startsWith(result.content)).toBe(true);
        expect(result.truncated).toBe(result.content.length < from.length);
        expect(result.total_lines).toBe(lines.length);
        const whole = lines.slice(window.offset - 1, window.offset - 1 + result.lines).join('');
        if (result.lines !== 1) expect(result.content).toBe(whole);
        if (result.truncated) expect(result.lines).toBeGreaterThan(0);
      }),
    );
  });

  it('is right in files of many chunks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 5000 }), fc.boolean(), async (length, offset, isClosed) => {
        const text = `${'é'.repeat(length)}x\n`.repeat(4000) + (isClosed ? '' : 'end');
        const lines = linesOf(text);
        const content = lines.slice(offset - 1, offset + 2).join('');
        expect(await read(text, { offset, limit: 3 })).toMatchObject({ content, total_lines: text.length > 4_000_000 ? expect.anything() : lines.length });
      }),
      { numRuns: 20 },
    );
  });

  it('paging by `offset + lines` gives every whole line once', async () => {
    const text = Array.from({ length: 1000 }, (_, index) => `line ${index} ${'x'.repeat(index % 90)}\n`).join('');
    let [offset, pages] = [1, ''];
    for (let isMore = true; isMore;) {
      const result = await read(text, { offset, maxBytes: 999 });
      if (result.type !== 'file') throw new Error(result.type);
      pages += result.content;
      offset += result.lines;
      isMore = result.truncated;
    }
    expect(pages).toBe(text);
  });

  it('a line longer than max_bytes is cut, and the next one is reached', async () => {
    const text = `${'é'.repeat(50)}\nnext\n`;
    expect(await read(text, { maxBytes: 9 })).toMatchObject({ content: 'éééé', lines: 1, total_lines: 2, truncated: true });
    expect(await read(text, { offset: 2, maxBytes: 9 })).toMatchObject({ content: 'next\n', lines: 1, total_lines: 2, truncated: false });
  });
});

describe('text and binary', () => {
  it('any bytes are text exactly when they are UTF-8 without NUL, and base64 gives them as they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 50 }).map(Buffer.from), async (bytes) => {
        const isText = isUtf8(bytes) && !bytes.includes(0);
        expect(await codeOf(read(bytes, { encoding: 'text' }))).toMatch(isText ? /^\{"type":"file"/ : /^NOT_TEXT: "f" is not text/);
        expect(await read(bytes, { encoding: 'base64' })).toMatchObject({
          content: bytes.toString('base64'),
          encoding: 'base64',
          total_lines: null,
          lines: 0,
          truncated: false,
        });
      }),
    );
  });

  it('a character that ends the part that is looked at first does not make a text binary', async () => {
    for (const lead of [65_533, 65_534, 65_535, 65_536]) {
      expect(await read(`${'a'.repeat(lead)}🎈\n`, { limit: 1, maxBytes: 4 })).toMatchObject({ content: 'aaaa', total_lines: 1 });
    }
  });

  it('bytes that are no text in the window are refused, also far into the file', async () => {
    const bytes = Buffer.concat([Buffer.from('x\n'.repeat(50_000)), Buffer.of(0xff, 10)]);
    expect(await codeOf(read(bytes, { offset: 50_001 }))).toMatch(/^NOT_TEXT/);
    expect(await read(bytes, { offset: 50_000, limit: 1 })).toMatchObject({ content: 'x\n' });
  });
});

describe('an image', () => {
  const STARTS = {
    'image/png': Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1'),
    'image/jpeg': Buffer.of(0xff, 0xd8, 0xff, 0xe0, 0),
    'image/gif': Buffer.from('GIF89a\x01\0\x01\0', 'latin1'),
    'image/webp': Buffer.from('RIFF\x24\0\0\0WEBPVP8 ', 'latin1'),
  };

  it.each(Object.entries(STARTS))('%s is told by its bytes and given whole', async (type, start) => {
    const bytes = Buffer.concat([start, Buffer.alloc(100_000, 7)]);
    expect(await read(bytes, { maxBytes: 10 })).toEqual({ type: 'image', mime_type: type, content: bytes.toString('base64') });
    expect(await codeOf(read(bytes, { encoding: 'text' }))).toMatch(/^NOT_TEXT/);
    expect(await read(bytes, { encoding: 'base64' })).toMatchObject({ type: 'file', truncated: true });
  });

  it('a text that begins like one is a text', async () => {
    expect(await read('GIF89a is a format\n')).toMatchObject({ type: 'file', content: 'GIF89a is a format\n' });
  });

  it('one of more than 5 MB is not given', async () => {
    const bytes = Buffer.concat([STARTS['image/png'], Buffer.alloc(5_000_000)]);
    expect(await codeOf(read(bytes))).toMatch(/^NOT_TEXT: "f" is not shown: it is an image of more than 5000000 bytes/);
  });
});

describe('a file without end', () => {
  it('gives its window, and is not read much further', async () => {
    const source = endless('x\n');
    expect(await read(source)).toMatchObject({ content: 'x\n'.repeat(400), total_lines: null, truncated: true });
    expect(source.furthest).toBeLessThan(5_000_000);
  });

  it('of one line gives its beginning', async () => {
    expect(await read(endless('x'))).toMatchObject({ content: 'x'.repeat(32_000), lines: 1, total_lines: null, truncated: true });
  });

  it('is not searched beyond its reach for a line', async () => {
    const source = endless('x');
    expect(await codeOf(read(source, { offset: 2 }))).toMatch(/^LIMIT_EXCEEDED: line 2 of "f" was not reached/);
    expect(source.furthest).toBeLessThan(REACH + 100_000);
  });

  it('gives no more than its bound, whatever is asked for', async () => {
    const text = await read(endless('x\n'), { limit: 1e9, maxBytes: 1e12 });
    expect(text).toMatchObject({ lines: 750_000, truncated: true });
    const bytes = await read(endless('\0'), { encoding: 'base64', maxBytes: 1e12 });
    expect(bytes.content.length).toBeLessThan(7_000_000);
  });

  it('is left when the call is canceled', async () => {
    const controller = new AbortController();
    const reading = readContent(endless('x'), { offset: 2, limit: 1, encoding: 'text', maxBytes: 10 }, 'f', controller.signal);
    controller.abort();
    expect(await codeOf(reading)).toMatch(/^CANCELED/);
  });
});
