/** Lines of a long output that look like errors: what a reader who sees head and tail only would miss most. */
import { setImmediate } from 'node:timers/promises';

/** How many are named, and how much of each, in characters. */
const MOST_LINES = 5;
const MOST_CHARACTERS = 200;
/** what is looked at in one go, in `bytes`: a millisecond or two of the event loop */
const SLICE_BYTES = 128 * 1024;

const ERROR = /\b(?:errors?|failed|failures?|fatal|panic(?:ked)?|exception|traceback|segmentation fault|undefined reference|assertion)\b|\bnot ok\b|✗|✘/i;
const NO_ERROR = /\b(?:0|no|without) (?:errors?|failed|failures?)\b|\b(?:errors?|failed|failures?)\s*[:=]\s*0\b/i;

/** The first lines between two positions that look like errors, each once and cut where it is long. `read` gives the bytes between two positions. */
export const errorLines = async (read: (from: number, to: number) => Buffer, from: number, to: number): Promise<readonly string[]> => {
  const found = new Set<string>();
  let rest = Buffer.alloc(0);
  for (let at = from; at < to && found.size < MOST_LINES; at += SLICE_BYTES) {
    const bytes = Buffer.concat([rest, read(at, Math.min(at + SLICE_BYTES, to))]);
    const isEnd = at + SLICE_BYTES >= to || bytes.length > 2 * SLICE_BYTES; // a line that goes on and on is looked at in parts
    const end = isEnd ? bytes.length : bytes.lastIndexOf('\n') + 1;
    rest = bytes.subarray(end);
    for (const line of bytes.toString('utf8', 0, end).split('\n')) {
      if (found.size < MOST_LINES && ERROR.test(line) && !NO_ERROR.test(line)) found.add(cut(line.trim()));
    }
    await setImmediate();
  }
  return [...found];
};

// Around what looks like an error, where a line is longer than what is shown of it.
const cut = (line: string): string => {
  if (line.length <= MOST_CHARACTERS) return line;
  const start = Math.max(0, Math.min(line.search(ERROR) - MOST_CHARACTERS / 4, line.length - MOST_CHARACTERS));
  return `${start > 0 ? '…' : ''}${line.slice(start, start + MOST_CHARACTERS)}…`;
};
