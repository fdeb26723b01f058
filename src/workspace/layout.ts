/** How a context lies in a workspace: under an overlay, or as a plain copy of its own. What a policy asks for is had or refused, never replaced without a word. */
import { SandboxError } from '../errors.ts';
import type { OverlayTrial } from './overlay-trial.ts';

export interface Layout {
  readonly kind: 'overlay' | 'plain';
  readonly warnings: readonly string[];
}

/** What an empty workspace has: nothing to lay over. */
export const EMPTY_LAYOUT: Layout = { kind: 'plain', warnings: [] };

/** The layout that a policy asks for, here. Throws RUNTIME_UNAVAILABLE for an overlay where none works. */
export const chooseLayout = async (asked: 'auto' | 'overlay' | 'plain', trial: OverlayTrial): Promise<Layout> => {
  if (asked === 'plain') return { kind: 'plain', warnings: [] };
  const { flaw, renamesFolders } = await trial();
  if (flaw === null) return { kind: 'overlay', warnings: renamesFolders ? [] : [STUCK] };
  if (asked === 'auto') return { kind: 'plain', warnings: [`an overlay does not work here (${flaw}): ${COPIED}`] };
  throw new SandboxError('RUNTIME_UNAVAILABLE', `the policy asks for an overlay as workspace, which does not work here: ${flaw}`, { hint: HINT });
};

const HINT = 'use a policy with `workspace.layout` "auto" or "plain"';
const COPIED = '/workspace is a copy of the whole context, which takes longer to make and counts as `disk_mb`';
const STUCK =
  'a directory that comes from the context is not renamed in place: `mv` copies it, `git mv` of it fails (move with `mv`, then `git add -A`; `workspace.layout` "plain" in a policy lifts this)';
