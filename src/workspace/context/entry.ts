/** The parts of a context: what is copied, from where, and what is left out. */
import { SandboxError } from '../../errors.ts';
import type { Fd } from '../../syscall/files.ts';
import { shownName, type ByteString } from '../names.ts';
import type { Reason } from './rules.ts';

/** A directory of the host whose tree, or a part of it, goes to a place of the context. */
export interface Source {
  readonly fd: Fd;
  /** where it goes: `''` for the context itself, `sub/.git` for a git directory from elsewhere */
  readonly place: ByteString;
  /** whether a path within it belongs to the context */
  readonly holds: (path: ByteString) => boolean;
}

/** Something that was found. */
export interface Entry {
  /** place within the copy, a byte string */
  readonly path: ByteString;
  readonly type: 'directory' | 'file' | 'link';
  readonly source: Source;
  /** offset of its row in the words of the scan */
  readonly at: number;
  /** what a link says that was looked at; empty for others */
  readonly target: ByteString;
  /** whether nothing of it has changed since the snapshot that the scan was compared with: its row is that one's */
  readonly isSame: boolean;
}

/** Something that is not copied. */
export interface LeftOut {
  readonly path: ByteString;
  readonly reason: Reason | 'snapshots of contexts';
}

/** The path of an entry within its source. */
export const pathInSource = (path: ByteString, { place }: Pick<Source, 'place'>): ByteString => (place === '' ? path : path.slice(place.length + 1));

/** The refusal for a context that does not hold still. */
export const keepsChanging = (path: ByteString): SandboxError =>
  new SandboxError('CONTEXT_REFUSED', `the context cannot be copied: ${shownName(path)} keeps changing while it is copied`, {
    hint: 'stop what writes there and call again, or leave it out with `context.exclude` in a policy',
  });
