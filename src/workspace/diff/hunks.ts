/** Two texts as the hunks of a unified diff. */
import { editsBetween, type Edit } from './matching.ts';
import type { Pace } from '../pace.ts';

/** unchanged lines around a change */
const CONTEXT = 3;
/** most lines of a text */
const MOST_LINES = 300_000;

/** The hunks that make the second text of the first, each line with its end; null when a text has too many lines to be compared, or the hunks more than `most` characters. */
export const hunksBetween = async (before: string, after: string, most: number, pace: Pace): Promise<string | null> => {
  const [a, b] = [await linesOf(before, pace), await linesOf(after, pace)];
  if (a === null || b === null) return null;
  const numbers = new Map<string, number>();
  const edits = await editsBetween(await numbered(a, numbers, pace), await numbered(b, numbers, pace), pace);
  const lines = new Lines(most, pace);
  for (const group of grouped(edits)) {
    await addHunk(lines, group, a, b);
    if (lines.isFull) return null;
  }
  return lines.text;
};

/** The lines of hunks, as long as there is room for them. */
class Lines {
  readonly #lines: string[] = [];
  readonly #pace: Pace;
  #room: number;

  constructor(room: number, pace: Pace) {
    this.#room = room;
    this.#pace = pace;
  }

  get isFull(): boolean {
    return this.#room < 0;
  }

  get text(): string {
    return this.#lines.join('');
  }

  add(line: string): void {
    this.#room -= line.length;
    if (this.#room >= 0) this.#lines.push(line);
  }

  /** Adds the lines of a text from one to another, each with a mark before it. */
  async addMarked(mark: ' ' | '-' | '+', lines: readonly string[], from: number, to: number): Promise<void> {
    for (let at = from; at < to && !this.isFull; at++) {
      const line = lines[at]!;
      this.add(`${mark}${line.endsWith('\n') ? line : `${line}\n\\ No newline at end of file\n`}`);
      if (at % 500 === 0 && this.#pace.due()) await this.#pace.rest();
    }
  }
}

// Lines end at `\n` and nowhere else, as for git; a last one may be without.
const linesOf = async (text: string, pace: Pace): Promise<string[] | null> => {
  const lines: string[] = [];
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline + 1;
    lines.push(text.slice(at, end));
    if (lines.length > MOST_LINES) return null;
    if (lines.length % 500 === 0 && pace.due()) await pace.rest();
    at = end;
  }
  return lines;
};

// Equal lines get equal numbers.
const numbered = async (lines: readonly string[], numbers: Map<string, number>, pace: Pace): Promise<Int32Array> => {
  const result = new Int32Array(lines.length);
  for (const [index, line] of lines.entries()) {
    const number = numbers.get(line) ?? numbers.size;
    numbers.set(line, number);
    result[index] = number;
    if (index % 500 === 0 && pace.due()) await pace.rest();
  }
  return result;
};

// Edits whose contexts touch or overlap make one hunk.
const grouped = (edits: readonly Edit[]): Edit[][] => {
  const groups: Edit[][] = [];
  for (const edit of edits) {
    const last = groups.at(-1);
    if (last !== undefined && edit.from - last.at(-1)!.to <= 2 * CONTEXT) last.push(edit);
    else groups.push([edit]);
  }
  return groups;
};

const addHunk = async (lines: Lines, edits: readonly Edit[], a: readonly string[], b: readonly string[]): Promise<void> => {
  const [first, last] = [edits[0]!, edits.at(-1)!];
  const lead = Math.min(CONTEXT, first.from);
  const trail = Math.min(CONTEXT, a.length - last.to);
  lines.add(`@@ -${rangeOf(first.from - lead, last.to + trail)} +${rangeOf(first.newFrom - lead, last.newTo + trail)} @@\n`);
  let at = first.from - lead;
  for (const { from, to, newFrom, newTo } of edits) {
    await lines.addMarked(' ', a, at, from);
    await lines.addMarked('-', a, from, to);
    await lines.addMarked('+', b, newFrom, newTo);
    at = to;
  }
  await lines.addMarked(' ', a, at, at + trail);
};

// An empty range is named by the line before it.
const rangeOf = (from: number, to: number): string => `${from === to ? from : from + 1},${to - from}`;
