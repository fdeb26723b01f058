/**
 * A regular expression over lines that a sandbox wrote. RE2 finds in time linear in the length of what is searched, whatever expression and text;
 * a backtracking engine would let either hold the server up for years.
 */
import { RE2JS } from 're2js';
import { SandboxError } from '../../errors.ts';

export interface Pattern {
  /** Whether one of these lines may match; no lines at all never match. */
  mayMatch(lines: Buffer): boolean;
  /** Where the first match in a line begins; -1 where there is none. */
  indexIn(line: string): number;
}

/** largest program of RE2: time and memory grow with it */
const MOST_INSTRUCTIONS = 5000;

const HINT = 'the syntax is that of RE2: no look-around, no backreferences; put \\ before characters that are meant as they stand, such as ( ) [ ] { } . * + ?';

/** Throws INVALID_PARAMS that says what is wrong with the expression. */
export const compilePattern = (expression: string, ignoreCase: boolean): Pattern => {
  const program = compile(expression, RE2JS.MULTILINE | (ignoreCase ? RE2JS.CASE_INSENSITIVE : 0));
  if (program.programSize() > MOST_INSTRUCTIONS) throw refusal('it is too large', 'use smaller counts in { }, or several searches');
  if (SPANS_LINES.test(expression.replace(/\\\\|\[(?:\\[^]|[^\]\\])*\]/g, '')))
    throw refusal('each line is searched by itself, none holds a line break', HINT_LINES);
  // What is true of a line by itself is true of it among others, unless the expression asks for the ends of the text or lines end in CR LF.
  const [asksForText, asksForEnd] = [/\\[Az]|\(\?[imsU]*(?:-|m)/.test(expression), expression.includes('$')];
  return {
    mayMatch: (lines) => asksForText || (asksForEnd && lines.includes(CARRIAGE_RETURN)) || program.test(lines),
    indexIn: (line) => {
      if (!program.test(line)) return -1;
      const matcher = program.matcher(line);
      return matcher.find() ? matcher.start() : -1;
    },
  };
};

const CARRIAGE_RETURN = 13;
const SPANS_LINES = /\n|\\n/;
const HINT_LINES = 'search for one of the lines, and ask for those around it with `context_lines`';

const compile = (expression: string, flags: number): RE2JS => {
  try {
    return RE2JS.compile(expression, flags);
  } catch (error) {
    const why =
      error instanceof Error
        ? error.message
            .replace(/^error parsing regexp: /, '')
            .replace('(?m)', '')
            .replace('(?im)', '')
        : String(error);
    throw refusal(why.slice(0, 300), HINT);
  }
};

const refusal = (why: string, hint: string): SandboxError =>
  new SandboxError('INVALID_PARAMS', `expected \`pattern\` to be a regular expression: ${why}`, { hint });
