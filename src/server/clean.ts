/**
 * What a program printed, as a model should read it. Pure; takes time linear in the length of the text, whatever it holds.
 * Output that needs no cleaning is returned as it is.
 */

/** Terminal escapes removed and overwritten progress collapsed (cleaning that again changes nothing); with `fold`, runs of equal lines folded. Never returns an ESC. */
export const cleanOutput = (text: string, { fold = false }: { fold?: boolean } = {}): string => {
  const plain = collapseProgress(text.replace(ESCAPES, ''));
  return fold ? foldRuns(plain) : plain;
};

/**
 * Terminal escapes, as in ECMA-48 and xterm: strings (OSC, DCS, SOS, PM, APC) up to their end on the same line, control sequences (CSI),
 * other escapes, and what is left of ESC and of the controls U+0080 … U+009F. A string without an end loses only its introducer, so
 * that it cannot swallow output. No alternative can start inside another's body: that keeps the search linear.
 */
const ESCAPES = new RegExp(
  [
    '(?:\\x1b[\\]PX^_]|[\\x9d\\x90\\x98\\x9e\\x9f])[^\\x07\\x1b\\x80-\\x9f\\n]*(?:\\x07|\\x1b\\\\|\\x9c)',
    '(?:\\x1b\\[|\\x9b)[0-?]*[ -/]*[@-~]?',
    '\\x1b[ -/]+[0-~]?',
    '\\x1b[0-~]?',
    '[\\x80-\\x9f]',
  ].join('|'),
  'g',
);

// Of a line that was written over itself after each carriage return, what was written last. A line may end in CR LF.
const collapseProgress = (text: string): string => (text.includes('\r') ? text.split('\n').map(lastState).join('\n') : text);

const lastState = (line: string, index: number, lines: readonly string[]): string => {
  const written = withoutTrailingReturns(line);
  const last = written.slice(written.lastIndexOf('\r') + 1);
  return written.length < line.length && index < lines.length - 1 ? `${last}\r` : last;
};

const withoutTrailingReturns = (line: string): string => {
  let end = line.length;
  while (end > 0 && line[end - 1] === '\r') end--;
  return line.slice(0, end);
};

/** equal lines in a row from which on they are folded */
const RUN = 10;

// One line and a count for a run of equal ones.
const foldRuns = (text: string): string => {
  const folded: string[] = [];
  const lines = text.split('\n');
  for (let start = 0, end = 0; start < lines.length; start = end) {
    while (end < lines.length && lines[end] === lines[start]) end++;
    if (end - start >= RUN) folded.push(`${lines[start] || '(empty)'} … this line ${end - start} times …`);
    else folded.push(...lines.slice(start, end));
  }
  return folded.join('\n');
};
