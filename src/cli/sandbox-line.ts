/** The lines of the commands that name a sandbox: what they take and what that means. */
import { ConfigError } from '../config.ts';
import type { Grammar, Line } from './commands.ts';

const SANDBOX_HELP = '\nSANDBOX is its id, the beginning of it, or its label: `cellwall ls` shows them.';

export const DIFF_GRAMMAR: Grammar = {
  usage: '[options] SANDBOX',
  flags: [{ flag: '--patch', help: 'print a patch that `git apply` takes; on a terminal characters that it would obey are shown as <U+001B>' }],
  more: SANDBOX_HELP,
};

export const APPLY_GRAMMAR: Grammar = {
  usage: '[options] SANDBOX',
  flags: [
    { flag: '--yes', help: 'write without asking' },
    { flag: '--undo <ID>', help: 'take back an apply that was done, instead' },
  ],
  more: `
All changes are written, or none: a file of the project that changed since it was copied is named and nothing is written. Never
written is what lies below .git, outside of the project or behind a link. Files that can run code are marked.
${SANDBOX_HELP}`,
};

/** The one operand of a line. Throws ConfigError for none, and for more. */
export const operandOf = ({ operands }: Line): string => {
  if (operands.length !== 1) throw new ConfigError(`expected one SANDBOX, got ${operands.length}: cellwall ls shows them`);
  return operands[0]!;
};
