/** The command line: which command with which configuration. A mistake of the user is one line on stderr, and stdout stays empty. */
import { Command as Program, CommanderError, Option } from 'commander';
import { ConfigError, loadConfig, options } from '../config.ts';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { commands, type Command } from './commands.ts';
import { VERSION } from './version.ts';

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
  if (surroundings.platform !== 'linux') return fail('cellwall runs on Linux only (x86-64 and arm64); elsewhere run it inside WSL2 or Lima');
  try {
    let exitCode = 0;
    const run = async (command: Command, given: Readonly<Record<string, unknown>>): Promise<void> => {
      const config = loadConfig(given, surroundings.env, surroundings.cwd);
      log.level = config.logLevel;
      exitCode = await command.run(config, surroundings);
    };
    await createProgram(run).parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return exitCodeOf(error);
  }
};

type Run = (command: Command, given: Readonly<Record<string, unknown>>) => Promise<void>;

const createProgram = (run: Run): Program => {
  const program = new Program('cellwall')
    .description('Gives an AI agent a computer it can break: sandboxes over MCP on stdin and stdout.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help, or that of a command')
    .helpCommand(false)
    .usage('[options] [command]')
    .addHelpText('after', AFTER)
    .configureHelp({ helpWidth: 120 })
    .showHelpAfterError('(cellwall --help lists commands and options)')
    .exitOverride()
    .allowExcessArguments();
  addOptions(program, commands[0]!);
  program.action(async () => {
    const [word] = program.args;
    if (word !== undefined) program.error(`error: unknown command '${word}'`);
    await run(commands[0]!, givenTo(program, commands[0]!));
  });
  for (const command of commands) {
    const sub = program.command(command.name).description(command.summary).helpOption('-h, --help', 'print this help').allowExcessArguments(false);
    addOptions(sub, command);
    sub.action(async () => run(command, givenTo(sub, command)));
  }
  return program;
};

const AFTER = `
Every option can be set in three ways, the first wins: on the command line, by the variable in brackets (a list is separated
by ":", a switch is on by 1 or true), or by its name in camelCase in the configuration file ({"maxSandboxes": 3}), which is
$XDG_CONFIG_HOME/cellwall/config.json unless --config names another. Nothing is read from the working directory.
CELLWALL_RUNSC names the runsc to use.

Examples:
  cellwall setup                                  once, before the first sandbox
  cellwall --context ~/src/project                serve; sandboxes get a copy of that project
  claude mcp add cellwall -- cellwall             let Claude Code use it`;

const addOptions = (program: Program, command: Command): void => {
  for (const { key, flag, value, help, repeatable } of options) {
    if (!command.options.includes(key) && key !== 'logLevel') continue;
    const option = new Option(value === undefined ? flag : `${flag} <${value}>`, help);
    program.addOption(repeatable ? option.argParser((one: string, before: string[] | undefined) => [...(before ?? []), one]) : option);
  }
  program.addOption(new Option('--config <FILE>', 'the configuration file [CELLWALL_CONFIG]'));
  if (command.name === 'serve') program.addOption(new Option('--stdio', 'serve on stdin and stdout: always so, accepted for hosts that say it'));
};

// What the command line says, before and after the command's name. An option that means nothing to the command is a mistake.
const givenTo = (program: Program, command: Command): Record<string, unknown> => {
  const { stdio: _stdio, ...given } = program.optsWithGlobals<Record<string, unknown>>();
  const foreign = options.find(({ key }) => key in given && key !== 'logLevel' && !command.options.includes(key));
  if (foreign !== undefined) program.error(`error: option '${foreign.flag}' means nothing to '${command.name}'`);
  return given;
};

const exitCodeOf = (error: unknown): number => {
  if (error instanceof CommanderError) return error.exitCode; // commander has said why
  if (error instanceof ConfigError) return fail(error.message);
  if (error instanceof SandboxError) return fail(`${error.message}\nhint: ${error.hint}`);
  log.fatal({ err: error }, 'cellwall failed');
  return 1;
};

const fail = (message: string): number => {
  process.stderr.write(`cellwall: ${message}\n`);
  return 1;
};
