/** The policies that a command goes by: those that are shipped and the operator's own. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config.ts';
import { loadPolicies, type Policies } from '../policy/load.ts';
import type { Contexts } from '../session/sessions.ts';
import { PACKAGE_DIRECTORY } from './version.ts';

/** Loads them. Throws POLICY_INVALID. */
export const policiesOf = ({ policies, floor }: Config, { allowed }: Contexts): Policies =>
  loadPolicies({
    shippedDirectory: join(fileURLToPath(PACKAGE_DIRECTORY), 'policies'),
    directory: policies,
    floorFile: floor,
    allowedRoots: allowed.roots,
  });
