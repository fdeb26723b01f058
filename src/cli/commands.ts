/** The list of commands. Each is loaded when it is called. */
import { options, type Config, type OptionKey } from '../config.ts';
import type { Surroundings } from './index.ts';

/** A command of `cellwall`. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** the options that mean something to it, beside `--config` and `--log-level` */
  readonly options: readonly OptionKey[];
  /** Runs it to its end; resolves with the exit code. */
  run(config: Config, surroundings: Surroundings): Promise<number>;
}

export const commands: readonly Command[] = [
  {
    name: 'serve',
    summary: 'serve MCP on stdin and stdout (what `cellwall` alone does)',
    options: options.map((option) => option.key),
    run: async (config, surroundings) => (await import('./serve.ts')).serve(config, surroundings),
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
    name: 'demo',
    summary: 'make a sandbox, work in it and remove it, through a real MCP client, narrated',
    options: ['policy', 'policies', 'floor', 'maxSandboxes', 'stateDir', 'cacheDir'],
    run: async (config) => (await import('./demo.ts')).demo(config),
  },
];
