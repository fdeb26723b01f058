/** The parts of a context: what is copied, from where, and what is left out. */
import type { BigIntStats } from 'node:fs';
import { SandboxError } from '../errors.ts';
import type { Fd } from '../syscall/files.ts';
import { shownName, type ByteString } from './names.ts';
import type { Reason } from './rules.ts';

/** A directory of the host whose tree, or a part of it, goes to a place of the context. */
export interface Source {
  readonly fd: Fd;
  /** where it goes: `''` for the context itself, `sub/.git` for a git directory from elsewhere */
  readonly place: ByteString;
  /** whether a path within it belongs to the context */
  readonly holds: (path: ByteString) => boolean;
}

/** What lstat tells about something that is copied: enough to see later whether it has changed. */
export interface Facts {
  /** permission bits that a copy has: not setuid and setgid */
  readonly mode: number;
  /** in `bytes` */
  readonly size: number;
  readonly inode: bigint;
  /** last change of the content in `ns` since 1970 */
  readonly mtimeNs: bigint;
  /** last change of anything in `ns` since 1970 */
  readonly ctimeNs: bigint;
}

/** The facts of a stat. A context may have many entries: they are kept, the stats are not. */
export const factsOf = ({ mode, size, ino, mtimeNs, ctimeNs }: BigIntStats): Facts => ({
  mode: Number(mode) & 0o1777,
  size: Number(size),
  inode: ino,
  mtimeNs,
  ctimeNs,
});

/** Something that is copied. */
export interface Entry {
  /** place within the copy, a byte string */
  readonly path: ByteString;
  readonly type: 'directory' | 'file' | 'link';
  readonly source: Source;
  readonly facts: Facts;
  /** what a link says; empty for others */
  readonly target: ByteString;
}

/** Something that is not copied. */
export interface LeftOut {
  readonly path: ByteString;
  readonly reason: Reason;
}

/** The path of an entry within its source. */
export const pathInSource = (path: ByteString, { place }: Source): ByteString => (place === '' ? path : path.slice(place.length + 1));

/** The refusal for a context that does not hold still. */
export const keepsChanging = (path: ByteString): SandboxError =>
  new SandboxError('CONTEXT_REFUSED', `the context cannot be copied: ${shownName(path)} keeps changing while it is copied`, {
    hint: 'stop what writes there and call again, or leave it out with `context.exclude` in a policy',
  });
