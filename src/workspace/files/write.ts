/**
 * Writing a file of a sandbox through the same door as reading (decision 5 of the design). The new file is complete, and belongs to `agent`, before it
 * appears under its name; a failed write leaves the old one.
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, fchownSync, fstatSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, type Stats } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import { applyEdits, type Edit } from './edits.ts';
import { bytesBelow } from '../names.ts';
import { isOnlyInside, pathInside, shownPath } from '../paths.ts';
import { makePlace, type Owner, type Place } from './place.ts';
import { typeOf } from '../status.ts';

/** The parameters of `sandbox_write`, in the contract's words: `content` or `edits`. */
export interface WriteInput {
  readonly path: string;
  readonly content?: string;
  readonly encoding?: 'text' | 'base64';
  readonly edits?: readonly Edit[];
  /** octal digits; an existing file keeps its own */
  readonly mode?: string;
  readonly expected_sha256?: string;
}

export interface WriteResult {
  path: string;
  size: number;
  sha256: string;
  created: boolean;
}

export interface WriteOptions {
  readonly contextPath: string | null;
  readonly owner: Owner;
}

const DEFAULT_MODE = 0o644;
/** Largest file that edits are applied to, in `bytes`. */
const MOST_EDITED = 10 * 1000 * 1000;

/**
 * Writes a file in the tree that `root` is a descriptor of, whose mounts are as they are inside. Throws PATH_REFUSED for what is read-only or no file,
 * PATH_NOT_FOUND for edits of nothing, NOT_TEXT, EDIT_MISMATCH, WRITE_CONFLICT, DISK_FULL.
 */
export const writePath = (root: Fd, input: WriteInput, { contextPath, owner }: WriteOptions): WriteResult => {
  const path = pathInside(input.path, contextPath);
  if (isOnlyInside(path)) throw new SandboxError('PATH_REFUSED', `${shownPath(input.path)} cannot be written: it belongs to the sandbox's kernel`);
  try {
    const place = makePlace(root, path, owner);
    try {
      return put(place, input, owner);
    } finally {
      closeSync(place.directory);
    }
  } catch (error) {
    throw toSandboxError(error, input.path);
  }
};

const put = (place: Place, input: WriteInput, owner: Owner): WriteResult => {
  const shown = shownPath(input.path);
  if (place.stats && !place.stats.isFile()) throw new SandboxError('PATH_REFUSED', `${shown} cannot be written: it is a ${typeOf(place.stats.mode)}`);
  const old = place.stats && (input.edits || input.expected_sha256) ? readOld(place, shown) : null;
  if (input.expected_sha256 !== undefined) demandOld(old, input.expected_sha256.toLowerCase(), shown);
  const bytes = input.edits ? edited(old, input.edits, shown) : Buffer.from(input.content ?? '', input.encoding === 'base64' ? 'base64' : 'utf8');
  const mode = place.stats ? place.stats.mode & 0o777 : input.mode === undefined ? DEFAULT_MODE : Number.parseInt(input.mode, 8);
  replace(place, bytes, mode, owner);
  return { path: input.path, size: bytes.length, sha256: sha256Of(bytes), created: place.stats === null };
};

const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const demandOld = (old: Buffer | null, expected: string, shown: string): void => {
  const found = old === null ? null : sha256Of(old);
  if (found === expected) return;
  throw new SandboxError(
    'WRITE_CONFLICT',
    `${shown} was not written: ${found === null ? 'it does not exist' : `its content is another than expected (sha256 ${found})`}`,
  );
};

const edited = (old: Buffer | null, edits: readonly Edit[], shown: string): Buffer => {
  if (old === null) throw new SandboxError('PATH_NOT_FOUND', `${shown} was not edited: it does not exist`, { hint: 'write it with `content`' });
  if (!isUtf8(old) || old.includes(0))
    throw new SandboxError('NOT_TEXT', `${shown} was not edited: it is not text`, { hint: 'replace it with `content` and encoding "base64"' });
  return Buffer.from(applyEdits(old.toString('utf8'), edits, shown));
};

// What is opened is looked at again: a program may have put something else under the name since.
const readOld = ({ directory, name }: Place, shown: string): Buffer => {
  const fd = openSync(bytesBelow(directory, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats: Stats = fstatSync(fd);
    if (!stats.isFile()) throw new SandboxError('PATH_REFUSED', `${shown} cannot be read: it has become a ${typeOf(stats.mode)}`);
    if (stats.size > MOST_EDITED)
      throw new SandboxError('LIMIT_EXCEEDED', `${shown} has ${stats.size} bytes; files up to ${MOST_EDITED} bytes are compared or edited`, {
        hint: 'edit it with a command',
      });
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
};

// man 2 rename: whoever has the old file open keeps it; everybody else sees the old or the new one, never a part.
const replace = ({ directory, name }: Place, bytes: Buffer, mode: number, owner: Owner): void => {
  const temporary = bytesBelow(directory, `.cellwall-${randomBytes(8).toString('hex')}`);
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    writeFileSync(fd, bytes);
    fchownSync(fd, owner.uid, owner.gid);
    fchmodSync(fd, mode);
    renameSync(temporary, bytesBelow(directory, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
};

const REFUSALS: Readonly<Record<string, string>> = {
  EROFS: 'it is read-only there',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'its name is too long',
  EAGAIN: 'it keeps changing',
  EEXIST: 'it keeps changing',
  ENOENT: 'it keeps changing',
  EXDEV: 'it keeps changing',
};

const toSandboxError = (error: unknown, given: string): unknown => {
  if (error instanceof SandboxError) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new SandboxError('DISK_FULL', `${shownPath(given)} was not written: there is no space left there`, { cause: error });
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REFUSALS[code];
  return reason === undefined ? error : new SandboxError('PATH_REFUSED', `${shownPath(given)} cannot be written: ${reason}`, { cause: error });
};
