/** Which directories of the host may be copied into sandboxes, and which is when none is named (contract: "Command line"). */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NO_CONTEXT, type Config } from '../config.ts';
import type { Contexts } from '../session/sessions.ts';
import { implicitRootRefusal } from '../workspace/roots.ts';
import type { Surroundings } from './index.ts';

/**
 * The operator's word first, then `CLAUDE_PROJECT_DIR`, then the client's roots, then the working directory. What the operator did not name is never
 * `/`, a home, above one, or a place of secrets. The client's roots narrow what the operator allowed; where the operator named nothing they count by themselves.
 */
export const contextsOf = (
  config: Pick<Config, 'context' | 'allowRoot'>,
  { env, cwd }: Pick<Surroundings, 'env' | 'cwd'>,
  clientRoots: readonly string[] = [],
): Contexts => {
  const { context, allowRoot } = config;
  const named = context === undefined || context === NO_CONTEXT ? [] : [context];
  const isOpen = context === undefined && allowRoot.length === 0;
  const roots = clientRoots.flatMap(pathOfRoot).filter(isHarmless);
  const implicit = context === undefined ? [env['CLAUDE_PROJECT_DIR'], ...(isOpen ? roots : []), cwd] : [];
  const own = named[0] ?? implicit.find((path) => path !== undefined && path !== '' && isHarmless(path)) ?? null;
  const others = isOpen ? roots : roots.length === 0 ? allowRoot : narrowed(allowRoot, roots);
  return { default: own, allowed: { roots: [...(own === null ? [] : [own]), ...others], operator: [...named, ...allowRoot] } };
};

const isHarmless = (path: string): boolean => implicitRootRefusal(path) === null;

// MCP: a root is a URI of the scheme file. What is none, or names another host, is no directory of this one.
const pathOfRoot = (uri: string): string[] => {
  try {
    return [fileURLToPath(uri)];
  } catch {
    return [];
  }
};

// Of each pair the one that lies in the other: what both allow.
const narrowed = (allowed: readonly string[], roots: readonly string[]): readonly string[] =>
  allowed.map(canonical).flatMap((one) => roots.map(canonical).flatMap((other) => (isWithin(other, one) ? [other] : isWithin(one, other) ? [one] : [])));

const isWithin = (path: string, top: string): boolean => path === top || path.startsWith(top === '/' ? '/' : `${top}/`);

const canonical = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
};
