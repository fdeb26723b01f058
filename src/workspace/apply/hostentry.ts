/** An entry of the context's directory on the host, as it is now. It is not ours: others may change it while it is looked at. */
import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, readlinkSync, write, type BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { hasCode } from '../../syscall/call.ts';
import { O_DIRECTORY, O_PATH } from '../../syscall/constants.ts';
import { openToRead, withFd, type Fd } from '../../syscall/files.ts';
import { openBeneath } from '../folders.ts';
import { MODE_BITS, SHA256_OF_NOTHING, type EntryType } from '../manifest.ts';
import { bytesBelow, splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import type { State } from './transitions.ts';
import { readPiece } from '../tree.ts';

export interface HostEntry {
  /** `other`: a mount, a device: what is never written over */
  readonly type: EntryType | 'other';
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly mtimeNs: string;
  /** tells whether it is still the same, without reading it */
  readonly seen: string;
  /** null where it says nothing */
  readonly ctimeNs: string | null;
}

/** how much of a file is read at once, in `bytes` */
const PIECE_BYTES = 256 * 1024;

/** Looks at what lies at a path below the context; null for nothing, and behind a link, where nothing of the context is. A mount is `other`. */
export const lookAtHost = (context: Fd, path: ByteString): HostEntry | null => {
  try {
    return withFd(openBeneath(context, path, O_PATH), (handle) => entryOf(fstatSync(handle, { bigint: true })));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
    if (hasCode(error, 'EXDEV')) return { type: 'other', mode: 0, owner: { uid: -1, gid: -1 }, mtimeNs: '0', seen: '', ctimeNs: null };
    throw error;
  }
};

/** The same of a name in an open directory. */
export const lookIn = (folder: Fd, name: ByteString): HostEntry | null => {
  const stats = lstatSync(bytesBelow(folder, name), { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : entryOf(stats);
};

const entryOf = (stats: BigIntStats): HostEntry => ({
  type: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'symlink' : 'other',
  mode: Number(stats.mode) & MODE_BITS,
  owner: { uid: Number(stats.uid), gid: Number(stats.gid) },
  mtimeNs: String(stats.mtimeNs),
  seen: [stats.dev, stats.ino, stats.mode, stats.uid, stats.gid, ...(stats.isDirectory() ? [] : [stats.size, stats.mtimeNs])].join(' '),
  // That of a directory changes with what is in it, that of a file with several names when one of them is written over.
  ctimeNs: stats.isDirectory() || stats.nlink > 1n ? null : String(stats.ctimeNs),
});

/** Whether an entry is what it was when it was looked at before. */
export const isStill = (before: HostEntry | null, now: HostEntry | null): boolean => {
  if (before === null || now === null) return before === now;
  return before.seen === now.seen && (before.ctimeNs === null || before.ctimeNs === now.ctimeNs);
};

/** What it is with what it holds, which is copied into `to` on the way; null when it is of no kind that is written, or changed while it was read. */
export const stateOf = async (context: Fd, path: ByteString, entry: HostEntry, to: Fd | null, pace: Pace): Promise<State | null> => {
  if (entry.type === 'other') return null;
  const { type, mode, owner, mtimeNs } = entry;
  const sha256 = await hashOf(context, path, type, to, pace);
  return sha256 !== null && isStill(entry, lookAtHost(context, path)) ? { type, mode, owner, mtimeNs, sha256 } : null;
};

const hashOf = async (context: Fd, path: ByteString, type: EntryType, to: Fd | null, pace: Pace): Promise<string | null> => {
  if (type === 'directory') return SHA256_OF_NOTHING;
  if (type === 'file') return (await readFile(context, path, to, pace))?.sha256 ?? null;
  const target = targetOf(context, path);
  if (target === null) return null;
  if (to !== null) await writeAll(to, target, 0);
  return hash('sha256', target);
};

const targetOf = (context: Fd, path: ByteString): Buffer | null => {
  const { folder, name } = splitName(path);
  try {
    return withFd(openBeneath(context, folder, O_PATH | O_DIRECTORY), (fd) => readlinkSync(bytesBelow(fd, name), 'buffer'));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP', 'EXDEV')) return null;
    throw error;
  }
};

/** Reads a regular file below a directory once, and copies it; null for anything else. More than `most` bytes are not read: their hash is of the beginning. */
export const readFile = async (
  top: Fd,
  path: ByteString,
  to: Fd | null,
  pace: Pace,
  most = Infinity,
): Promise<{ readonly sha256: string; readonly size: number } | null> => {
  const handle = openBeneath(top, path, O_PATH);
  try {
    if (!fstatSync(handle).isFile()) return null;
    const fd = openToRead(handle);
    try {
      return await copyContent(fd, to, pace, most);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(handle);
  }
};

/** Copies an open file, and hashes it on the way. */
export const copyContent = async (from: Fd, to: Fd | null, pace: Pace, most = Infinity): Promise<{ readonly sha256: string; readonly size: number }> => {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  const digest = createHash('sha256');
  for (let size = 0; ;) {
    const { bytesRead } = await readPiece(from, buffer, 0, buffer.length, size);
    if (bytesRead === 0 || size + bytesRead > most) return { sha256: digest.digest('hex'), size };
    const piece = buffer.subarray(0, bytesRead);
    digest.update(piece);
    if (to !== null) await writeAll(to, piece, size);
    size += bytesRead;
    if (pace.due()) await pace.rest();
  }
};

const writePiece = promisify(write);

const writeAll = async (to: Fd, bytes: Buffer, at: number): Promise<void> => {
  for (let done = 0; done < bytes.length;) done += (await writePiece(to, bytes, done, bytes.length - done, at + done)).bytesWritten;
};
