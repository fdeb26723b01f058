/** The command line: which command with which configuration. A mistake of the user is one line on stderr, and stdout stays empty. */
import { CommanderError } from 'commander';
import { ConfigError, loadConfig } from '../config.ts';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { parseLine, type Actions } from './program.ts';

/** The way one namespace down (decision 4 of the design), for the commands that need it. */
export interface Enclosure {
  /** whether this process is there already */
  readonly isInside: boolean;
  /** replaces this process by itself inside, with more variables in its environment */
  enter(variables: Readonly<Record<string, string>>): never;
  /** throws where the system refused the namespaces */
  prove(): void;
}

/** What a run of the command line sees of its process. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly platform: NodeJS.Platform;
  readonly enclosure: Enclosure;
}

/** Runs `cellwall ARGUMENTS…` and resolves with the exit code. Writes to stdout and stderr; never rejects. */
export const runCli = async (argv: readonly string[], surroundings: Surroundings): Promise<number> => {
  if (surroundings.platform !== 'linux') return fail('cellwall runs on Linux only (x86-64 and arm64); elsewhere run it inside WSL2 or Lima', 1);
  let failureCode = 1;
  const actions: Actions = {
    run: async (command, given, line) => {
      failureCode = command.failureCode ?? 1;
      const config = loadConfig(given, surroundings.env, surroundings.cwd, command.defaults);
      log.level = config.logLevel;
      return command.run(config, surroundings, line);
    },
    misread: (command) => (failureCode = command.failureCode ?? 1),
  };
  try {
    return await parseLine(argv, actions);
  } catch (error) {
    return exitCodeOf(error, failureCode);
  }
};

const exitCodeOf = (error: unknown, failureCode: number): number => {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : failureCode; // commander has said why
  if (error instanceof ConfigError) return fail(error.message, failureCode);
  if (error instanceof SandboxError) return fail(`${error.message}\nhint: ${error.hint}`, failureCode);
  log.fatal({ err: error }, 'cellwall failed');
  return failureCode;
};

const fail = (message: string, exitCode: number): number => {
  process.stderr.write(`cellwall: ${message}\n`);
  return exitCode;
};
