/** Which directories of the host may be copied into sandboxes, and which is when none is named (contract: "Command line"). */
import type { Config } from '../config.ts';
import type { Contexts } from '../session/sessions.ts';
import { implicitRootRefusal } from '../workspace/roots.ts';
import type { Surroundings } from './index.ts';

/** The operator's word first, then `CLAUDE_PROJECT_DIR`, then the working directory. What nobody named is never `/`, a home or above one. */
export const contextsOf = ({ context, allowRoot }: Config, { env, cwd }: Pick<Surroundings, 'env' | 'cwd'>): Contexts => {
  const implicit = [env['CLAUDE_PROJECT_DIR'], cwd].find((path) => path !== undefined && path !== '') ?? cwd;
  const own = context ?? (implicitRootRefusal(implicit) === null ? implicit : null);
  return {
    default: own,
    allowed: { roots: [...(own === null ? [] : [own]), ...allowRoot], operator: [...(context === undefined ? [] : [context]), ...allowRoot] },
  };
};
