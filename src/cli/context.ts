/** `cellwall context ls`: what of a directory a sandbox would get and what not, and why. Nothing is copied. */
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError, type Config } from '../config.ts';
import { byteStringOf, shownName } from '../workspace/names.ts';
import { openContext } from '../workspace/roots.ts';
import { previewContext, type Preview } from '../workspace/context/preview.ts';
import { shownSize } from '../workspace/context/tally.ts';
import { storeIn } from '../workspace/store/store-place.ts';
import type { Line } from './commands.ts';
import { parseContext } from './context-line.ts';
import { contextsOf } from './contexts.ts';
import type { Surroundings } from './index.ts';
import { policiesOf } from './policies.ts';

/** Resolves with the exit code. Throws ConfigError for a line that is none, and what sandbox_create throws for a context that it refuses. */
export const context = async (config: Config, surroundings: Surroundings, line: Line, out: NodeJS.WritableStream = process.stdout): Promise<number> => {
  const { directory, isJson } = parseContext(line);
  const contexts = contextsOf(config, surroundings);
  const policy = policiesOf(config, contexts).get(config.policy);
  const named = directory === undefined ? contexts.default : resolve(surroundings.cwd, directory);
  if (named === null) throw new ConfigError('no directory: DIR is missing, and there is no context by itself here (a home or / is none)');
  const { exclude, include, max_files: maxFiles, max_mb: maxMb } = policy.context;
  const opened = openContext(named, contexts.allowed);
  try {
    const options = { rules: { exclude, include, maxFiles, maxBytes: maxMb * MIB }, allowed: contexts.allowed, store: storeIn(config.cacheDir) };
    const preview = await previewContext(opened, options, new AbortController().signal);
    out.write((isJson ? jsonOf : textOf)(shownName(byteStringOf(opened.path)), policy.name, preview));
    return 0;
  } finally {
    closeSync(opened.fd);
  }
};

const MIB = 1024 * 1024;

const jsonOf = (path: string, policy: string, { leftOut, ...facts }: Preview): string =>
  `${JSON.stringify({ context: path, policy, ...facts, skipped: leftOut, skipped_count: leftOut.length }, null, 2)}\n`;

/** most of what is left out that is named to people */
const NAMED = 200;

const textOf = (path: string, policy: string, { files, directories, bytes, largest, leftOut, warnings }: Preview): string => {
  const more = leftOut.length > NAMED ? [`  and ${leftOut.length - NAMED} more (--json names all)`] : [];
  return [
    `${path}, by the policy "${policy}"`,
    `copied: ${counted(files, 'file')} in ${counted(directories + 1, 'directory', 'directories')}, ${shownSize(bytes)}`,
    ...(largest.length > 1 ? ['most of it:', ...columns(largest.map((one) => [shownSize(one.bytes), one.path]))] : []),
    `left out: ${leftOut.length === 0 ? 'nothing' : leftOut.length}`,
    ...columns(leftOut.slice(0, NAMED).map((one) => [one.reason, one.path])),
    ...more,
    ...warnings.map((warning) => `warning: ${warning}`),
    '',
  ].join('\n');
};

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

const columns = (rows: readonly (readonly [string, string])[]): string[] => {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`);
};
