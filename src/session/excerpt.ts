/** What is shown of a stream: all of it, or its head and tail with a line between that says how much is missing and where it is. */
import { readSync } from 'node:fs';
import type { Snapshot } from './spool.ts';

export interface Excerpt {
  /** invalid UTF-8 as U+FFFD */
  readonly text: string;
  /** whether something was left out */
  readonly cut: boolean;
}

/** Both streams within `maxBytes` together. A stream that needs less than half leaves the rest to the other. The tail is favoured: that is where errors stand. */
export const excerptsOf = (
  streams: { readonly stdout: Snapshot; readonly stderr: Snapshot },
  maxBytes: number,
  outputPath: string,
): { stdout: Excerpt; stderr: Excerpt } => {
  const { stdout, stderr } = streams;
  const budgetBeside = (other: Snapshot): number => maxBytes - Math.min(other.total, Math.floor(maxBytes / 2));
  return {
    stdout: excerptOf(stdout, budgetBeside(stderr), `${outputPath}/stdout`),
    stderr: excerptOf(stderr, budgetBeside(stdout), `${outputPath}/stderr`),
  };
};

/** share of the budget that the head gets */
const HEAD_SHARE = 0.4;

const excerptOf = (snapshot: Snapshot, budget: number, path: string): Excerpt => {
  const { total } = snapshot;
  if (total <= budget && snapshot.headEnd >= snapshot.tailStart) return { text: read(snapshot, 0, total).toString('utf8'), cut: false };
  const headBudget = Math.floor(budget * HEAD_SHARE);
  const head = upToLine(read(snapshot, 0, Math.min(headBudget, snapshot.headEnd)));
  const tailFrom = Math.max(total - (budget - headBudget), snapshot.tailStart, head.length);
  const tail = fromLine(read(snapshot, tailFrom, total));
  const omitted = total - head.length - tail.length;
  const before = head.length === 0 || head.at(-1) === 0x0a ? '' : '\n';
  return { text: `${head.toString('utf8')}${before}… ${omitted} bytes omitted, see ${path} …\n${tail.toString('utf8')}`, cut: true };
};

// Positions of the stream; what lies between headEnd and tailStart was not kept.
const read = ({ fd, total, headEnd, fileSize }: Snapshot, from: number, to: number): Buffer => {
  const bytes = Buffer.alloc(Math.max(0, to - from));
  const offset = from < headEnd ? from : fileSize - (total - from);
  return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset));
};

const NEWLINE = 0x0a;
const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

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
