/** The content of one hostile file: a window of its lines, its bytes, or an image. However long the file is or grows, what is read of it is bounded. */
import { isUtf8 } from 'node:buffer';
import { SandboxError } from '../../errors.ts';
import { Pace } from '../pace.ts';
import { shownPath } from '../paths.ts';

/** Where bytes come from. */
export interface Source {
  /** Fills a buffer from `position` on and tells how many bytes came: 0 at the end, else as many as there are. */
  read(into: Buffer, position: number): number;
  /** how far into the file lines are looked for, in `bytes` */
  readonly reach: number;
  /** in `bytes`, as the file's status says */
  readonly size: number;
  readonly mode: string;
  readonly mtime: string;
}

/** What is asked for. */
export interface Window {
  /** first line or entry, from 1 */
  readonly offset: number;
  /** most lines or entries */
  readonly limit: number;
  readonly encoding: 'auto' | 'text' | 'base64';
  /** most content of a file in `bytes` */
  readonly maxBytes: number;
}

export interface FileResult {
  readonly type: 'file';
  readonly content: string;
  readonly encoding: 'text' | 'base64';
  readonly size: number;
  /** lines of the whole file; null when that is not known cheaply */
  readonly total_lines: number | null;
  readonly offset: number;
  /** lines in `content` */
  readonly lines: number;
  readonly truncated: boolean;
  readonly mode: string;
  readonly mtime: string;
}

export interface ImageResult {
  readonly type: 'image';
  readonly mime_type: string;
  readonly content: string;
}

const CHUNK = 65_536;
/** most text of one answer in `bytes`, whatever is asked for: escaped as JSON, six for one, it is below the 10 MB that clients take */
const MOST_TEXT = 1_500_000;
/** the same for what goes as base64 */
const MOST_BINARY = 5_000_000;
/** how far lines are counted for `total_lines`, in `bytes` */
const MOST_COUNTED = 4 * 1024 * 1024;

/**
 * Reads a window of a file. `text` and `auto` give whole lines, as many as fit into `maxBytes`; only a first line that is longer than that is cut, at
 * a character. `base64` gives the bytes from the start of the file, whatever `offset` and `limit` say. `auto` shows an image whole, whatever
 * `maxBytes` says. More than 1.5 MB of text and 5 MB of bytes is never given.
 * Throws NOT_TEXT where the file's first 64 KiB or the window hold a NUL or are not UTF-8, and for an image of more than 5 MB; LIMIT_EXCEEDED when
 * the window begins beyond the source's reach.
 */
export const readContent = async (source: Source, window: Window, given: string, signal: AbortSignal): Promise<FileResult | ImageResult> => {
  if (window.encoding === 'base64') return bytesOf(source, window.maxBytes);
  const head = readAt(source, 0, CHUNK + 1);
  if (isText(startOf(head, CHUNK))) return linesOf(source, window, given, signal);
  const type = window.encoding === 'auto' ? imageTypeOf(head) : null;
  if (type === null) throw notText(given);
  return imageOf(source, type, given);
};

const bytesOf = (source: Source, maxBytes: number): FileResult => {
  const most = Math.min(maxBytes, MOST_BINARY);
  const bytes = readAt(source, 0, most + 1);
  const content = bytes.toString('base64', 0, most);
  return { ...shared(source), content, encoding: 'base64', total_lines: null, offset: 1, lines: 0, truncated: bytes.length > most };
};

const shared = ({ size, mode, mtime }: Source): Pick<FileResult, 'type' | 'size' | 'mode' | 'mtime'> => ({ type: 'file', size, mode, mtime });

const IMAGES = [
  { type: 'image/png', start: /^\x89PNG\r\n\cZ\n/ },
  { type: 'image/jpeg', start: /^\xff\xd8\xff/ },
  { type: 'image/gif', start: /^GIF8[79]a/ },
  { type: 'image/webp', start: /^RIFF[^]{4}WEBP/ },
];

const imageTypeOf = (head: Buffer): string | null => IMAGES.find(({ start }) => start.test(head.toString('latin1', 0, 16)))?.type ?? null;

const imageOf = (source: Source, type: string, given: string): ImageResult => {
  const bytes = readAt(source, 0, MOST_BINARY + 1);
  if (bytes.length <= MOST_BINARY) return { type: 'image', mime_type: type, content: bytes.toString('base64') };
  throw new SandboxError('NOT_TEXT', `${shownPath(given)} is not shown: it is an image of more than ${MOST_BINARY} bytes`, {
    hint: 'make a smaller copy inside the sandbox and read that, or read its first bytes with encoding "base64"',
  });
};

const notText = (given: string): SandboxError => new SandboxError('NOT_TEXT', `${shownPath(given)} is not text: it holds a NUL byte or is not UTF-8`);

const linesOf = async (source: Source, { offset, limit, maxBytes }: Window, given: string, signal: AbortSignal): Promise<FileResult> => {
  const most = Math.min(maxBytes, MOST_TEXT);
  const pace = new Pace(signal);
  const before = await passLines(source, 0, offset - 1, source.reach, pace);
  if (before.lines < offset - 1 && !before.ended) throw tooFar(source, offset, given);
  const bytes = readAt(source, before.position, most + 1);
  const { end, lines, whole } = windowOf(bytes, limit, most);
  const content = bytes.subarray(0, end);
  if (!isText(content)) throw notText(given);
  const truncated = end < bytes.length;
  const after = truncated ? await passLines(source, before.position + end, Infinity, Math.min(source.reach, MOST_COUNTED), pace) : { lines: 0, ended: true };
  const total = after.ended ? before.lines + whole + after.lines : null;
  return { ...shared(source), content: content.toString(), encoding: 'text', total_lines: total, offset, lines, truncated };
};

/** Where passing lines has come to. */
interface Passed {
  readonly position: number;
  /** lines that were passed, a last one without a newline among them */
  readonly lines: number;
  /** whether that is the end of the file */
  readonly ended: boolean;
}

// Passes `count` lines from a position on, but looks at nothing from `reach` on.
const passLines = async (source: Source, from: number, count: number, reach: number, pace: Pace): Promise<Passed> => {
  const chunk = Buffer.allocUnsafe(count === 0 || from >= reach ? 0 : CHUNK);
  let position = from;
  let lines = 0;
  let isLineOpen = false;
  while (lines < count) {
    if (position >= reach) return { position, lines, ended: false };
    const got = chunk.subarray(0, source.read(chunk, position));
    if (got.length === 0) return { position, lines: lines + (isLineOpen ? 1 : 0), ended: true };
    const { end, newlines } = newlinesIn(got, count - lines);
    lines += newlines;
    position += end;
    isLineOpen = got[end - 1] !== NEWLINE;
    if (pace.due()) await pace.rest();
  }
  return { position, lines, ended: false };
};

const NEWLINE = 10;

// Counts newlines up to `count` of them: how many there are, and where the last one that counts ends.
const newlinesIn = (bytes: Buffer, count: number): { end: number; newlines: number } => {
  let newlines = 0;
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] === NEWLINE && ++newlines === count) return { end: index + 1, newlines };
  }
  return { end: bytes.length, newlines };
};

// The whole lines that fit, or the beginning of one that is too long. `bytes` holds one more than `most` where the file does; `whole`: lines that end here.
const windowOf = (bytes: Buffer, limit: number, most: number): { end: number; lines: number; whole: number } => {
  const { end: newlinesEnd, newlines } = newlinesIn(bytes.subarray(0, most), limit);
  if (newlines === limit) return { end: newlinesEnd, lines: newlines, whole: newlines };
  const end = bytes.lastIndexOf(NEWLINE, most - 1) + 1;
  if (bytes.length <= most) {
    const lines = newlines + (end < bytes.length ? 1 : 0);
    return { end: bytes.length, lines, whole: lines };
  }
  return newlines > 0 ? { end, lines: newlines, whole: newlines } : { end: startOf(bytes, most).length, lines: 1, whole: 0 };
};

const tooFar = ({ reach }: Source, offset: number, given: string): SandboxError =>
  new SandboxError('LIMIT_EXCEEDED', `line ${offset} of ${shownPath(given)} was not reached: lines are looked for in its first ${reach} bytes only`, {
    hint: 'print those lines with sandbox_exec, with `sed -n` or `tail`',
  });

// Up to `length` bytes from a position on; fewer only at the end of the file.
const readAt = (source: Source, position: number, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  for (let got = 1; got > 0 && filled < length; filled += got) got = source.read(bytes.subarray(filled), position + filled);
  return bytes.subarray(0, filled);
};

const isText = (bytes: Buffer): boolean => !bytes.includes(0) && isUtf8(bytes);

/** The beginning of bytes, at most so many, without the part of a character that would be cut. */
export const startOf = (bytes: Buffer, most: number): Buffer => {
  if (bytes.length <= most) return bytes;
  let end = most;
  while (end > 0 && most - end < 3 && isContinuation(bytes[end])) end--;
  return bytes.subarray(0, end);
};

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;
