/** Where a workspace can be looked at from the host, and what it began as. */
import type { Fd } from '../syscall/files.ts';
import type { Base } from './manifest.ts';

/** An overlay's own layer, which holds what changed; or the whole workspace, to be compared with its base. The content is hostile. */
export type WorkspaceSource =
  | { readonly kind: 'overlay'; readonly upper: Fd; readonly base: Base }
  | { readonly kind: 'plain'; readonly root: Fd; readonly base: Base };
