/** From the name in a policy to the runtime, loaded when it is first asked for. */
import { SandboxError } from '../errors.ts';
import type { Runtime, RuntimeOptions } from './runtime.ts';

export type { RuntimeOptions } from './runtime.ts';

/** Runtimes by name, each made once. Throws RUNTIME_UNAVAILABLE for one that this version does not have. */
export const createRuntimes = (options: RuntimeOptions): { get(name: string): Promise<Runtime>; close(): Promise<void> } => {
  const made = new Map<string, Promise<Runtime>>();
  return {
    get: (name) => {
      const runtime = made.get(name) ?? make(name, options);
      made.set(name, runtime);
      return runtime;
    },
    close: async () => {
      for (const runtime of made.values()) await (await runtime.catch(() => null))?.close();
    },
  };
};

const make = async (name: string, options: RuntimeOptions): Promise<Runtime> => {
  if (name !== 'gvisor')
    throw new SandboxError('RUNTIME_UNAVAILABLE', `runtime "${name}" is not part of this version`, { hint: 'use a policy with the runtime "gvisor"' });
  const { createGvisor } = await import('./gvisor/gvisor.ts');
  return createGvisor(options);
};

/** Where runsc is, or why there is none. Preconditions: called in the user's own namespace, where owners of files can be told apart. */
export const locateRunsc = async (options: {
  readonly env: NodeJS.ProcessEnv;
  readonly cacheDir: string;
  readonly uid: number;
}): Promise<RuntimeOptions['runsc']> => {
  const { findRunsc } = await import('./gvisor/runsc.ts');
  try {
    return findRunsc(options);
  } catch (error) {
    if (error instanceof SandboxError) return { error };
    throw error;
  }
};

/** Removes what the sandboxes of a dead server left on the host; `directory` was its `RuntimeOptions.directory`. */
export const recover = async (directory: string): Promise<void> => {
  const { recoverGvisor } = await import('./gvisor/strays.ts');
  await recoverGvisor(directory);
};
