/** Searching the lines of an open file, in pieces: neither a file nor a line is ever held whole because it is long. */
import { readSync } from 'node:fs';
import type { Fd } from '../../syscall/files.ts';
import type { Pattern } from './pattern.ts';

export interface Match {
  /** from 1 */
  readonly line: number;
  /** the line, or with context the lines around it too, each cut where it is long */
  readonly text: string;
}

/** How a file is searched. */
export interface LineSearch {
  readonly pattern: Pattern;
  /** lines before and after that belong to the text of a match */
  readonly contextLines: number;
  /** called before each piece; throws to end the search */
  readonly check: () => void;
}

/** longest text of a line */
const LONGEST_SHOWN = 400;
/** most of a file that is held, and longest line that is searched as a whole, in `bytes` */
const PIECE = 256 * 1024;
/** most that is read of the lines before a match, and of those after it, in `bytes` */
const REACH = 64 * 1024;
const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

const piece = Buffer.allocUnsafeSlow(PIECE);

/**
 * Gives `take` the lines that match, until it returns false. Only as much is read as the file had at the beginning. Returns false when there
 * is a NUL byte in it: then it is no text, and what was taken of it does not count. A longer line than a piece is searched piece by piece.
 */
export const searchLines = (fd: Fd, size: number, search: LineSearch, take: (match: Match) => boolean): boolean => {
  const place = { fd, size, begin: 0, line: 1, taken: 0 };
  for (let [position, kept] = [0, 0]; position < size;) {
    search.check();
    const read = readSync(fd, piece, kept, Math.min(PIECE - kept, size - position), position);
    const filled = kept + read;
    if (piece.subarray(kept, filled).includes(0)) return false;
    place.begin = position - kept;
    position += read;
    const isLast = read === 0 || position >= size;
    const end = isLast ? filled : piece.lastIndexOf(NEWLINE, filled - 1) + 1 || filled;
    const lines = piece.subarray(0, end);
    if (search.pattern.mayMatch(lines)) {
      if (!searchPiece(lines, place, search, take)) return true;
    } else if (!isLast) place.line += countLines(lines);
    if (isLast) return true;
    piece.copyWithin(0, end, filled);
    kept = filled - end;
  }
  return true;
};

interface Place {
  readonly fd: Fd;
  readonly size: number;
  /** where the piece begins in the file */
  begin: number;
  /** number of the line there, and of the last one that was taken */
  line: number;
  taken: number;
}

const searchPiece = (lines: Buffer, place: Place, { pattern, contextLines }: LineSearch, take: (match: Match) => boolean): boolean => {
  const { fd, size, begin } = place;
  for (let start = begin === 0 && lines.indexOf(BYTE_ORDER_MARK) === 0 ? BYTE_ORDER_MARK.length : 0, next; start < lines.length; start = next + 1) {
    const newline = lines.indexOf(NEWLINE, start);
    next = newline < 0 ? lines.length : newline;
    const text = textOf(lines.subarray(start, next));
    const at = place.line > place.taken ? pattern.indexIn(text) : -1;
    if (at >= 0) {
      place.taken = place.line;
      const shown = shorten(text, at);
      const match = { line: place.line, text: contextLines === 0 ? shown : around(fd, begin + start, begin + next, size, shown, contextLines) };
      if (!take(match)) return false;
    }
    if (newline >= 0) place.line++;
  }
  return true;
};

const countLines = (lines: Buffer): number => {
  let count = 0;
  for (let at = lines.indexOf(NEWLINE); at >= 0; at = lines.indexOf(NEWLINE, at + 1)) count++;
  return count;
};

// Bytes that are not UTF-8 are shown as U+FFFD; the CR of a line break is none of the line.
const textOf = (line: Buffer): string => line.toString('utf8', 0, line.at(-1) === 13 ? line.length - 1 : line.length);

/** A line around one of its characters, cut where it is long. */
const shorten = (line: string, at: number): string => {
  if (line.length <= LONGEST_SHOWN) return line;
  const room = LONGEST_SHOWN - 2;
  const start = Math.max(0, Math.min(at - LONGEST_SHOWN / 4, line.length - room));
  const end = start + room;
  return `${start > 0 ? '…' : ''}${line.slice(start, end).replace(HALVES, '')}${end < line.length ? '…' : ''}`;
};

/** halves of a character that was cut */
const HALVES = /^[\udc00-\udfff]|[\ud800-\udbff]$/g;

// The lines around one that lies from `start` to `stop` in the file, with its own text between them. The file may have changed since.
const around = (fd: Fd, start: number, stop: number, size: number, text: string, count: number): string => {
  const from = Math.max(0, start - REACH);
  const before = linesOf(fd, from, start).slice(0, -1);
  if (from > 0) before[0] = `…${before[0] ?? ''}`;
  const after = linesOf(fd, stop + 1, Math.min(size, stop + 1 + REACH));
  if (after.at(-1) === '') after.pop();
  return [...before.slice(-count), text, ...after.slice(0, count)].map((line) => shorten(line, 0)).join('\n');
};

const linesOf = (fd: Fd, from: number, to: number): string[] => {
  if (to <= from) return [];
  const bytes = Buffer.alloc(to - from);
  const read = readSync(fd, bytes, 0, bytes.length, from);
  return bytes.toString('utf8', 0, read).replaceAll('\r\n', '\n').split('\n');
};
