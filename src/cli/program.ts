/** The command line as commander reads it: which command, with which options. Mistakes in it are told on stderr by commander. */
import { Command as Program, Option } from 'commander';
import { options, type OptionKey } from '../config.ts';
import { commands, type Command, type Line } from './commands.ts';
import { VERSION } from './version.ts';

export interface Actions {
  /** runs a command; resolves with the exit code */
  run(command: Command, given: Given, line: Line): Promise<number>;
  /** told when the line after a command's name is not what it takes */
  misread(command: Command): void;
}

/** What the command line says of the configuration, by key. */
export type Given = Readonly<Record<string, unknown>>;

/** Reads a command line and does what it says. Resolves with the exit code; throws CommanderError for a line that says nothing, and for one that asks for help. */
export const parseLine = async (argv: readonly string[], actions: Actions): Promise<number> => {
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
  cellwall run -- npm test                        one command in a sandbox, on a copy of this directory
  cellwall --context ~/src/project                serve; sandboxes get a copy of that project
  claude mcp add cellwall -- cellwall             let Claude Code use it`;

const addGrammar = (program: Program, { name, grammar, flags = [] }: Command): void => {
  for (const { flag, help, repeatable = false } of grammar?.flags ?? flags) program.addOption(optionOf(flag, help, repeatable));
  if (grammar === undefined) return;
  program
    .usage(grammar.usage)
    .argument('[operands...]')
    .passThroughOptions(grammar.endsOptions ?? false)
    .addHelpText('after', grammar.more);
  program.configureHelp({ helpWidth: HELP_WIDTH, visibleArguments: () => [] }).showHelpAfterError(`(cellwall ${name} --help says what it takes)`);
};

const addOptions = (program: Program, command: Command): void => {
  for (const { key, flag, value, help, repeatable } of options) {
    const option = optionOf(value === undefined ? flag : `${flag} <${value}>`, help, repeatable);
    program.addOption(option.hideHelp(!meansSomething(key, command))); // read all the same, so that its mistake can be named
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
  const foreign = options.find(({ key }) => given.some(([name]) => name === key) && !meansSomething(key, command));
  if (foreign !== undefined) program.error(`error: option '${foreign.flag}' means nothing to '${command.name}'`);
  return Object.fromEntries(given);
};

const meansSomething = (key: OptionKey, command: Command): boolean => key === 'logLevel' || command.options.includes(key);

const joined = (before: unknown, after: unknown): unknown =>
  Array.isArray(before) && Array.isArray(after) ? [...(before as unknown[]), ...(after as unknown[])] : (after ?? before);

const lineOf = (program: Program, { grammar, flags }: Command): Line => ({
  flags: grammar === undefined && flags === undefined ? {} : program.opts<Given>(),
  operands: program.args,
});
