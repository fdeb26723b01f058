/** What is shown of a stream: all that is new, or its head and tail with a line between that says how much is missing and where it is. */
import { readSync } from 'node:fs';
import { errorLines } from './highlights.ts';
import type { StreamState } from './output.ts';

/** The part of a stream from `from` on. */
export interface Part {
  readonly stream: StreamState;
  readonly from: number;
  /** where the whole stream is, as seen inside */
  readonly path: string;
  /** whether what there is will not be added to: a last character that lacks bytes is shown as it is */
  readonly isFinal: boolean;
}

export interface Excerpt {
  /** invalid UTF-8 as U+FFFD */
  readonly text: string;
  /** whether something was left out */
  readonly cut: boolean;
  /** position up to which the stream has been shown: before a last character that still lacks bytes */
  readonly to: number;
}

export interface ExcerptOptions {
  /** most that is shown of both together, in `bytes` */
  readonly maxBytes: number;
  /** whether lines of what is left out that look like errors are named: for a reader who will not look at the files first */
  readonly nameErrors: boolean;
}

/** Two parts within a bound together: what one does not need is the other's. */
export const excerptsOf = async (
  parts: { readonly stdout: Part; readonly stderr: Part },
  { maxBytes, nameErrors }: ExcerptOptions,
): Promise<{ readonly stdout: Excerpt; readonly stderr: Excerpt }> => {
  const lengthOf = ({ stream, from }: Part): number => stream.total - from;
  const beside = (other: Part): number => maxBytes - Math.min(lengthOf(other), Math.floor(maxBytes / 2));
  return {
    stdout: await excerptOf(parts.stdout, beside(parts.stderr), nameErrors),
    stderr: await excerptOf(parts.stderr, beside(parts.stdout), nameErrors),
  };
};

/** share of the budget that the head gets: errors stand at the end */
const HEAD_SHARE = 0.4;

/** share of the budget that lines which look like errors may take */
const ERRORS_SHARE = 0.2;

const excerptOf = async ({ stream, from, path, isFinal }: Part, budget: number, nameErrors: boolean): Promise<Excerpt> => {
  const { total, headEnd, tailStart } = stream;
  const isComplete = headEnd >= tailStart; // nothing of the stream was left out of its file
  const isWhole = total - from <= budget && (isComplete || from >= tailStart);
  if (isWhole) {
    const bytes = whole(read(stream, from, total), isFinal);
    return { text: bytes.toString('utf8'), cut: false, to: from + bytes.length };
  }
  const headBudget = Math.floor(budget * HEAD_SHARE);
  const head = upToLine(read(stream, from, Math.min(from + headBudget, headEnd)));
  const middle = from + head.length;
  const errors = nameErrors ? await namedErrors(stream, middle, total - (budget - headBudget), Math.floor(budget * ERRORS_SHARE)) : '';
  const tailFrom = Math.max(total - (budget - headBudget - Buffer.byteLength(errors)), isComplete ? 0 : tailStart, middle);
  const end = read(stream, tailFrom, total);
  const pending = end.length - whole(end, isFinal).length;
  const tail = fromLine(end.subarray(0, end.length - pending));
  const to = total - pending;
  const omitted = to - middle - tail.length;
  const before = head.length === 0 || head.at(-1) === NEWLINE ? '' : '\n';
  return { text: `${head.toString('utf8')}${before}… ${omitted} bytes omitted, see ${path} …\n${errors}${tail.toString('utf8')}`, cut: true, to };
};

// Of what was kept between two positions, a line each, as many as fit.
const namedErrors = async (stream: StreamState, from: number, to: number, maxBytes: number): Promise<string> => {
  const { headEnd, tailStart } = stream;
  const kept = headEnd >= tailStart ? [[from, to] as const] : [[from, Math.min(to, headEnd)] as const, [Math.max(from, tailStart), to] as const];
  let named = '';
  for (const [start, end] of kept) {
    for (const line of await errorLines((a, b) => read(stream, a, b), start, end)) {
      const more = `… in them: ${line}\n`;
      if (Buffer.byteLength(named + more) <= maxBytes) named += more;
    }
  }
  return named;
};

// Positions of the stream; what lies between headEnd and tailStart was not kept.
const read = ({ fd, total, headEnd, fileSize }: StreamState, from: number, to: number): Buffer => {
  const bytes = Buffer.alloc(Math.max(0, to - from));
  const offset = from < headEnd ? from : fileSize - (total - from);
  return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset));
};

const NEWLINE = 0x0a;
const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

// While the command can still write, a last character that lacks bytes waits for them.
const whole = (bytes: Buffer, isFinal: boolean): Buffer => (isFinal ? bytes : bytes.subarray(0, wholeCharacters(bytes)));

// Ends after a line where one ends in the second half of what there is, else after a whole character.
const upToLine = (bytes: Buffer): Buffer => {
  const line = bytes.lastIndexOf(NEWLINE) + 1;
  return line > bytes.length / 2 ? bytes.subarray(0, line) : bytes.subarray(0, wholeCharacters(bytes));
};

// How many bytes are whole characters: a last one that lacks bytes is left out.   RFC 3629
const wholeCharacters = (bytes: Buffer): number => {
  let start = bytes.length - 1;
  while (start > bytes.length - 4 && isContinuation(bytes[start])) start -= 1;
  const lead = bytes[start] ?? 0;
  const needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return start + needed > bytes.length ? Math.max(0, start) : bytes.length;
};

// Begins with a line where one begins in the first half, else with a whole character.
const fromLine = (bytes: Buffer): Buffer => {
  const line = bytes.indexOf(NEWLINE) + 1;
  if (line > 0 && line < bytes.length / 2) return bytes.subarray(line);
  let start = 0;
  while (start < 3 && isContinuation(bytes[start])) start += 1;
  return bytes.subarray(start);
};
