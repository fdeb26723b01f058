/** The command line of `cellwall run`: what it takes and what that means. */
import { ConfigError } from '../config.ts';
import type { Grammar, Line } from './commands.ts';

/** Exit code when cellwall itself failed, and not the command. */
export const RUN_FAILED = 125;

export const RUN_GRAMMAR: Grammar = {
  endsOptions: true,
  usage: '[options] -- COMMAND [ARGUMENT...]',
  flags: [
    { flag: '--tty', help: 'run it on a terminal of its own; yours, where stdin is one, hands on every key' },
    { flag: '--timeout <S>', help: "kill it, and all that it started, after this many seconds (default: 0: none but the sandbox's lifetime)" },
    { flag: '--env <K=V>', help: 'a variable for it; K alone: with the value that it has here, if it has one (repeatable)', repeatable: true },
  ],
  more: `
COMMAND is a program and its arguments, run as they are, without a shell: an argument with spaces stays one argument.
For a shell line:  cellwall run -- sh -c 'make && make test'

It works in /workspace, on a private copy of the working directory or of --context, without its secrets (.env, keys); a home
directory, / and directories of settings are copied only where --context names them, --context none copies nothing. What it
changes stays inside and is gone with the sandbox when it ends. What it may do there is said by the policy: by default it has no network.

stdin, stdout and stderr pass through as they come; how the lines of stdout and stderr mix is kept roughly (exactly with --tty).
It takes what stdin holds: give it < /dev/null in a loop that reads. Ctrl-C, SIGTERM, SIGHUP and SIGQUIT are handed on to it; a
second Ctrl-C kills it. With --tty Ctrl-C is a key like any other, and TERM has the value that it has here.
Of our own only warnings and failures are printed, to stderr; with --log-level error failures only.

Exit code: that of COMMAND; 128 + N where signal N ended it; 124: timed out; 125: cellwall failed; 126: COMMAND cannot be
executed; 127: there is no such COMMAND.`,
};

/** What a line of `cellwall run` asks for. */
export interface RunRequest {
  readonly argv: readonly string[];
  readonly isTerminal: boolean;
  /** `ms`; 0: none */
  readonly timeoutMs: number;
  readonly env: Readonly<Record<string, string>>;
}

/** Throws ConfigError for a line that asks for nothing that can be run. `env` is where variables without a value come from. */
export const parseRun = ({ flags, operands }: Line, env: NodeJS.ProcessEnv): RunRequest => {
  if (operands.length === 0) throw new ConfigError(`COMMAND is missing: nothing to run; write cellwall run ${RUN_GRAMMAR.usage}`);
  const { tty = false, timeout = '0', env: variables = [] } = flags;
  return {
    argv: operands,
    isTerminal: tty === true,
    timeoutMs: millisecondsOf(String(timeout)),
    env: Object.fromEntries([variables].flat().flatMap((variable) => variableOf(String(variable), env))),
  };
};

/** Longest that a timer holds. */
const LONGEST_S = 2 ** 31 / 1000;

// What is above 0 never becomes 0, which means another thing.
const millisecondsOf = (seconds: string): number => {
  const value = Number(seconds);
  if (!/^(\d+\.?\d*|\.\d+)$/.test(seconds) || value >= LONGEST_S)
    throw new ConfigError(`--timeout: expected seconds such as 90 or 0.5, or 0 for none, got ${JSON.stringify(seconds)}`);
  return Math.ceil(value * 1000);
};

const variableOf = (variable: string, env: NodeJS.ProcessEnv): (readonly [name: string, value: string])[] => {
  const [, name, , value] = /^([^=]+)(=(.*))?$/s.exec(variable) ?? [];
  if (name === undefined) throw new ConfigError(`--env: expected K=V, or K alone, got ${JSON.stringify(variable)}: it has no name`);
  const given = value ?? env[name];
  return given === undefined ? [] : [[name, given]];
};
