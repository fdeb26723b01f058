/** The command line: which command with which configuration. A mistake of the user is one line on stderr, and stdout stays empty. */
import { Command as Program, CommanderError, Option } from 'commander';
import { ConfigError, loadConfig, options } from '../config.ts';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { commands, type Command, type Line } from './commands.ts';
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
    return await parse(argv, actions);
  } catch (error) {
    return exitCodeOf(error, failureCode);
  }
};

interface Actions {
  run(command: Command, given: Given, line: Line): Promise<number>;
  /** told when the line after a command's name is not what it takes */
  misread(command: Command): void;
}

/** What the command line says of the configuration, by key. */
type Given = Readonly<Record<string, unknown>>;

const parse = async (argv: readonly string[], actions: Actions): Promise<number> => {
  let exitCode = 0;
  const act = async (program: Program, command: Command): Promise<void> => {
    exitCode = await actions.run(command, givenTo(program, command), lineOf(program, command));
  };
  await createProgram(act, actions.misread).parseAsync(argv, { from: 'user' });
  return exitCode;
};

const createProgram = (act: (program: Program, command: Command) => Promise<void>, misread: Actions['misread']): Program => {
  const program = new Program('cellwall')
    .description('Gives an AI agent a computer it can break: sandboxes over MCP on stdin and stdout.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help, or that of a command')
    .helpCommand(false)
    .usage('[options] [command]')
    .addHelpText('after', AFTER)
    .configureHelp({ helpWidth: HELP_WIDTH })
    .showHelpAfterError('(cellwall --help lists commands and options)')
    .exitOverride()
    .enablePositionalOptions()
    .allowExcessArguments();
  addOptions(program, commands[0]!);
  program.action(async () => {
    const [word] = program.args;
    if (word !== undefined) program.error(`error: unknown command '${word}'`);
    await act(program, commands[0]!);
  });
  for (const command of commands) {
    const sub = program.command(command.name).description(command.summary).helpOption('-h, --help', 'print this help').allowExcessArguments(false);
    sub.exitOverride((error) => {
      misread(command);
      throw error;
    });
    addGrammar(sub, command);
    addOptions(sub, command);
    sub.action(() => act(sub, command));
  }
  return program;
};

const HELP_WIDTH = 120;

const AFTER = `
Every option can be set in three ways, the first wins: on the command line, by the variable in brackets (a list is separated
by ":", a switch is on by 1 or true), or by its name in camelCase in the configuration file ({"maxSandboxes": 3}), which is
$XDG_CONFIG_HOME/cellwall/config.json unless --config names another. Nothing is read from the working directory.
CELLWALL_RUNSC names the runsc to use.

Examples:
  cellwall setup                                  once, before the first sandbox
  cellwall --context ~/src/project                serve; sandboxes get a copy of that project
  claude mcp add cellwall -- cellwall             let Claude Code use it`;

const addGrammar = (program: Program, { name, grammar }: Command): void => {
  if (grammar === undefined) return;
  program.usage(grammar.usage).argument('[operands...]').passThroughOptions().addHelpText('after', grammar.more);
  program.configureHelp({ helpWidth: HELP_WIDTH, visibleArguments: () => [] }).showHelpAfterError(`(cellwall ${name} --help says what it takes)`);
  for (const { flag, help, repeatable = false } of grammar.flags) program.addOption(optionOf(flag, help, repeatable));
};

const addOptions = (program: Program, command: Command): void => {
  for (const { key, flag, value, help, repeatable } of options) {
    if (!command.options.includes(key) && key !== 'logLevel') continue;
    program.addOption(optionOf(value === undefined ? flag : `${flag} <${value}>`, help, repeatable));
  }
  program.addOption(new Option('--config <FILE>', 'the configuration file [CELLWALL_CONFIG]'));
  if (command.name === 'serve') program.addOption(new Option('--stdio', 'serve on stdin and stdout: always so, accepted for hosts that say it'));
};

const optionOf = (flag: string, help: string, isRepeatable: boolean): Option => {
  const option = new Option(flag, help);
  return isRepeatable ? option.argParser((one: string, before: string[] | undefined) => [...(before ?? []), one]) : option;
};

// Before and after the command's name; what stands after it wins, lists are joined. An option that means nothing to the command is a mistake.
const givenTo = (program: Program, command: Command): Given => {
  const [before, after] = [program.parent?.opts<Given>() ?? {}, program.opts<Given>()];
  const settings = [...options.map(({ key }) => key), 'config'];
  const given = settings.filter((key) => key in before || key in after).map((key) => [key, joined(before[key], after[key])] as const);
  const foreign = options.find(({ key }) => given.some(([name]) => name === key) && key !== 'logLevel' && !command.options.includes(key));
  if (foreign !== undefined) program.error(`error: option '${foreign.flag}' means nothing to '${command.name}'`);
  return Object.fromEntries(given);
};

const joined = (before: unknown, after: unknown): unknown =>
  Array.isArray(before) && Array.isArray(after) ? [...(before as unknown[]), ...(after as unknown[])] : (after ?? before);

const lineOf = (program: Program, { grammar }: Command): Line => ({ flags: grammar === undefined ? {} : program.opts<Given>(), operands: program.args });

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
