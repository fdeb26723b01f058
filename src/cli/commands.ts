/** The list of commands. Each is loaded when it is called. */
import { options, type Config, type OptionKey } from '../config.ts';
import type { Surroundings } from './index.ts';
import { CONTEXT_GRAMMAR } from './context-line.ts';
import { RUN_FAILED, RUN_GRAMMAR } from './run-line.ts';
import { APPLY_GRAMMAR, DIFF_GRAMMAR } from './sandbox-line.ts';

/** What a command takes beside the options of the configuration: flags of its own, and operands. */
export interface Grammar {
  /** whether all options end with the first operand: what follows belongs to it; left out: no */
  readonly endsOptions?: true;
  readonly flags: readonly {
    /** as commander has it: `--timeout <S>` */
    readonly flag: string;
    readonly help: string;
    readonly repeatable?: true;
  }[];
  /** how the line is written, after the command's name */
  readonly usage: string;
  /** what its help ends with */
  readonly more: string;
}

/** What was given of it. */
export interface Line {
  /** by the flag's name: text, `true` for a switch, a list for what is repeatable */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly operands: readonly string[];
}

/** A command of `cellwall`. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** the options that mean something to it, beside `--config` and `--log-level` */
  readonly options: readonly OptionKey[];
  /** settings that it starts from, where they are not those of all others */
  readonly defaults?: Partial<Config>;
  /** left out: it takes no operands */
  readonly grammar?: Grammar;
  /** flags of its own, where it has no grammar; left out: none */
  readonly flags?: Grammar['flags'];
  /** exit code of a run that failed before the command could say so; left out: 1 */
  readonly failureCode?: number;
  /** Runs it to its end; resolves with the exit code. */
  run(config: Config, surroundings: Surroundings, line: Line): Promise<number>;
}

export const commands: readonly Command[] = [
  {
    name: 'serve',
    summary: 'serve MCP on stdin and stdout (what `cellwall` alone does)',
    options: options.map((option) => option.key),
    run: async (config, surroundings) => (await import('./serve.ts')).serve(config, surroundings),
  },
  {
    name: 'run',
    summary: 'run one command in a sandbox of its own: its streams and its exit code pass through',
    options: ['context', 'allowRoot', 'policy', 'policies', 'floor', 'stateDir', 'cacheDir'],
    defaults: { logLevel: 'warn' },
    grammar: RUN_GRAMMAR,
    failureCode: RUN_FAILED,
    run: async (config, surroundings, line) => (await import('./run.ts')).run(config, surroundings, line),
  },
  {
    name: 'setup',
    summary: 'get and verify runsc, the runtime of gVisor; needed once',
    options: ['cacheDir'],
    run: async (config) => {
      await (await import('./setup.ts')).runSetup(config.cacheDir);
      return 0;
    },
  },
  {
    name: 'ls',
    summary: 'list the sandboxes of all servers of this user',
    options: ['stateDir'],
    run: async (config) => (await import('./ls.ts')).listSandboxes(config.stateDir),
  },
  {
    name: 'diff',
    summary: 'show what a sandbox has changed in its copy of the project',
    options: ['stateDir'],
    grammar: DIFF_GRAMMAR,
    run: async (config, _, line) => (await import('./diff.ts')).diffSandbox(config.stateDir, line),
  },
  {
    name: 'apply',
    summary: 'bring what a sandbox has changed into the project itself, or take that back',
    options: ['stateDir'],
    grammar: APPLY_GRAMMAR,
    run: async (config, _, line) => (await import('./apply.ts')).applySandbox(config.stateDir, line),
  },
  {
    name: 'gc',
    summary: 'remove copies of contexts that no sandbox uses any more',
    options: ['cacheDir'],
    flags: [{ flag: '--all', help: 'also those that the next sandbox of their context would begin with' }],
    run: async (config, _, { flags }) => (await import('./gc.ts')).collectGarbage(config.cacheDir, flags['all'] === true),
  },
  {
    name: 'context',
    summary: 'preview what of a directory a sandbox would get, and what not and why: context ls [DIR]',
    options: ['context', 'allowRoot', 'policy', 'policies', 'floor', 'cacheDir'],
    grammar: CONTEXT_GRAMMAR,
    run: async (config, surroundings, line) => (await import('./context.ts')).context(config, surroundings, line),
  },
  {
    name: 'demo',
    summary: 'make a sandbox, work in it and remove it, through a real MCP client, narrated',
    options: ['policy', 'policies', 'floor', 'maxSandboxes', 'stateDir', 'cacheDir'],
    run: async (config) => (await import('./demo.ts')).demo(config),
  },
];
