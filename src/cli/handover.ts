/** What the half of the server outside its namespaces found out and the half inside needs: there owners of files can no longer be told apart. */
import { z } from 'zod';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { RuntimeOptions } from '../runtime/select.ts';

export interface Found {
  readonly runsc: RuntimeOptions['runsc'];
  /** of the user outside */
  readonly uid: number;
}

const VARIABLE = 'CELLWALL_HANDOVER';
/** Creates and commands wait on threads of the pool; the default of 4 would make them wait for each other. */
const THREADS = '32';

const Handed = z.object({
  uid: z.int(),
  runsc: z.union([z.object({ path: z.string() }), z.object({ message: z.string(), hint: z.string() })]),
});

/** As variables of the process inside. The reason why a runsc is not used is logged here, with what must not cross the wire. */
export const toInside = ({ runsc, uid }: Found): Record<string, string> => {
  if ('error' in runsc) log.warn({ err: runsc.error }, 'no sandbox can be created');
  const handed = { uid, runsc: 'error' in runsc ? { message: runsc.error.message, hint: runsc.error.hint } : runsc };
  return { [VARIABLE]: JSON.stringify(handed), UV_THREADPOOL_SIZE: THREADS };
};

/** Preconditions: this process came back from `enclose`, which proves that it set the variable itself. */
export const fromOutside = (env: NodeJS.ProcessEnv): Found => {
  const { uid, runsc } = Handed.parse(JSON.parse(env[VARIABLE] ?? 'null'));
  delete env[VARIABLE];
  delete env['UV_THREADPOOL_SIZE'];
  return { uid, runsc: 'path' in runsc ? runsc : { error: new SandboxError('RUNTIME_UNAVAILABLE', runsc.message, { hint: runsc.hint }) } };
};
