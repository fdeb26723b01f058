/** Why nothing is brought home, as a client is told. */
import { SandboxError } from '../../errors.ts';
import { listed, shownName, type ByteString } from '../names.ts';

/** most names in a message */
const MOST_NAMED = 10;

/** APPLY_REFUSED. */
export const refused = (message: string, hint: string): SandboxError => new SandboxError('APPLY_REFUSED', message, { hint });

/** APPLY_CONFLICT with names, before anything is written. */
export const conflict = (paths: readonly ByteString[], why: string): SandboxError =>
  new SandboxError('APPLY_CONFLICT', `nothing was written: ${namesOf(paths)}: ${why}`, {
    hint: 'bring the change of the host into the sandbox, or name other files with `paths`; then look at the diff again',
  });

/** APPLY_CONFLICT with names, of an apply that is taken back. */
export const undoConflict = (paths: readonly ByteString[], why: string): SandboxError =>
  new SandboxError('APPLY_CONFLICT', `${namesOf(paths)} ${why}`, { hint: 'bring these files back by hand, or with git' });

const namesOf = (paths: readonly ByteString[]): string => listed(paths.map(shownName), MOST_NAMED);
