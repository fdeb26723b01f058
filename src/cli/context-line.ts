/** The command line of `cellwall context`: what it takes and what that means. */
import { ConfigError } from '../config.ts';
import type { Grammar, Line } from './commands.ts';

export const CONTEXT_GRAMMAR: Grammar = {
  usage: '[options] ls [DIR]',
  flags: [{ flag: '--json', help: 'print one JSON object, in which everything that is left out is named' }],
  more: `
DIR is what a client would name as \`context\`: it has to lie in --context, in an --allow-root, or where neither is given in the
working directory. Without DIR it is the context of a sandbox whose client names none. Every file is looked into, as it is when a
sandbox is made, because some are left out for what they hold; names with odd characters are quoted as git does.`,
};

/** What a line of `cellwall context` asks for: the directory named, if any. Throws ConfigError for one that asks for nothing. */
export const parseContext = ({ flags, operands: [verb, directory, ...others] }: Line): { readonly directory: string | undefined; readonly isJson: boolean } => {
  if (verb !== 'ls') throw new ConfigError(`context: expected ${CONTEXT_GRAMMAR.usage}, got ${JSON.stringify(verb ?? '')}`);
  if (others.length > 0) throw new ConfigError(`context ls: expected one directory, got ${others.length + 1}`);
  return { directory, isJson: flags['json'] === true };
};
