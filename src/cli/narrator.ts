/** What the demo prints: steps, calls with the essential part of their answers, and claims, each with the outcome of its check. */
import { stripVTControlCharacters, styleText } from 'node:util';

export interface Narrator {
  /** begins a step */
  title(text: string): void;
  say(text: string): void;
  call(tool: string, args: Readonly<Record<string, unknown>>): void;
  /** at most `lines` lines of what came back */
  answer(text: string, lines?: number): void;
  /** what was checked just now, and whether it holds */
  claim(holds: boolean, text: string): void;
  /** claims that were told so far, and those among them that do not hold */
  readonly told: readonly string[];
  readonly failed: readonly string[];
}

/** Where the demo speaks. */
export type Screen = NodeJS.WritableStream & { readonly isTTY?: boolean };

const ANSWER_LINES = 12;
/** Longest line of an answer, in characters. */
const LINE_LENGTH = 150;

/** Colours only on a terminal, and none where NO_COLOR is set (no-color.org) or the terminal is dumb. */
export const createNarrator = (out: Screen, env: NodeJS.ProcessEnv): Narrator => {
  const colours = out.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  const paint = (style: Parameters<typeof styleText>[0], text: string): string => (colours ? styleText(style, text, { validateStream: false }) : text);
  const print = (line: string): void => void out.write(`${line}\n`);
  const told: string[] = [];
  const failed: string[] = [];
  let step = 0;
  return {
    told,
    failed,
    title: (text) => print(`\n${paint('bold', `${(step += 1)}. ${text}`)}`),
    say: (text) => print(`   ${harmless(text)}`),
    call: (tool, args) => print(`   ${paint('cyan', '→')} ${paint('cyan', tool)} ${harmless(JSON.stringify(args, shorten))}`),
    answer: (text, lines = ANSWER_LINES) => {
      const all = harmless(text).trimEnd().split('\n');
      const shown = all.slice(0, lines).map((line) => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH - 1)}…` : line));
      const rest = all.length - shown.length;
      for (const line of [...shown, ...(rest > 0 ? [`… ${rest} more ${rest === 1 ? 'line' : 'lines'}`] : [])]) print(`     ${paint('dim', '│')} ${line}`);
    },
    claim: (holds, text) => {
      told.push(text);
      if (!holds) failed.push(text);
      print(holds ? `   ${paint('green', '✓')} ${harmless(text)}` : `   ${paint('red', '✗ NOT TRUE:')} ${harmless(text)}`);
    },
  };
};

// An id is told once in full, by the answer of sandbox_create.
const shorten = (key: string, value: unknown): unknown => (key === 'sandbox_id' && typeof value === 'string' ? `${value.slice(0, 8)}…` : value);

// Nothing from a sandbox steers this terminal.
const harmless = (text: string): string => stripVTControlCharacters(text).replaceAll(/[^\P{Cc}\n\t]/gu, '');
