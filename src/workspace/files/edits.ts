/** Edits of a text: exact replacements, in order. Pure. */
import { SandboxError } from '../../errors.ts';

export interface Edit {
  readonly old_text: string;
  readonly new_text: string;
  readonly replace_all?: boolean;
}

/** The text after all edits. Throws EDIT_MISMATCH for one whose `old_text` is not there, or there more than once without `replace_all`; nothing is changed then. */
export const applyEdits = (text: string, edits: readonly Edit[], shownPath: string): string =>
  edits.reduce((edited, edit, index) => applyEdit(edited, edit, `edit ${index + 1} of ${edits.length} to ${shownPath}`), text);

const applyEdit = (text: string, { old_text: oldText, new_text: newText, replace_all: all = false }: Edit, which: string): string => {
  const first = text.indexOf(oldText);
  if (first === -1) throw new SandboxError('EDIT_MISMATCH', `${which} does not apply: its old_text is not in the file${nearest(text, oldText)}`);
  if (all) return text.split(oldText).join(newText);
  const second = text.indexOf(oldText, first + 1);
  if (second !== -1) {
    throw new SandboxError(
      'EDIT_MISMATCH',
      `${which} does not apply: its old_text occurs more than once, in lines ${lineAt(text, first)} and ${lineAt(text, second)}`,
      {
        hint: 'give more of the text around it, or set replace_all',
      },
    );
  }
  return text.slice(0, first) + newText + text.slice(first + oldText.length);
};

const lineAt = (text: string, index: number): number => text.slice(0, index).split('\n').length;

/** How much of a file is searched for something alike. */
const MOST_LINES = 20_000;
const LONGEST_LINE = 300;

// The line that is most like the first telling line of what was wanted: most mismatches are white space or a changed word.
const nearest = (text: string, oldText: string): string => {
  const wanted = oldText
    .split('\n')
    .find((line) => line.trim() !== '')
    ?.trim()
    .slice(0, LONGEST_LINE);
  if (wanted === undefined) return '';
  const pairs = pairsOf(wanted);
  let [best, score] = [-1, 0.5];
  const lines = text.split('\n', MOST_LINES);
  for (const [index, line] of lines.entries()) {
    const alike = similarity(pairs, line.trim().slice(0, LONGEST_LINE));
    if (alike > score) [best, score] = [index, alike];
  }
  return best === -1 ? '' : `; the nearest is line ${best + 1}: ${JSON.stringify(lines[best]!.slice(0, LONGEST_LINE))}`;
};

const pairsOf = (line: string): ReadonlySet<string> =>
  new Set(Array.from({ length: Math.max(1, line.length - 1) }, (_, index) => line.slice(index, index + 2)));

// Dice's coefficient over pairs of characters: 1 for the same, 0 for nothing in common.
const similarity = (wanted: ReadonlySet<string>, line: string): number => {
  if (line === '') return 0;
  const pairs = pairsOf(line);
  let common = 0;
  for (const pair of pairs) if (wanted.has(pair)) common += 1;
  return (2 * common) / (wanted.size + pairs.size);
};
