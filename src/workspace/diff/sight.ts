/** What an entry of a workspace is at the moment: enough to tell whether it is what it was. */
import { isUtf8 } from 'node:buffer';
import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, readSync, type Stats } from 'node:fs';
import { openToRead, type Fd } from '../../syscall/files.ts';
import { startOf } from '../files/content.ts';
import { MODE_BITS, SHA256_OF_NOTHING, type ManifestEntry } from '../manifest.ts';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { readPiece, type Tree } from '../tree.ts';

/** An entry as it was seen; of a file of more than 4 GiB, which may be nothing but holes, `sha256` says that it was not read. */
export interface Sight extends Omit<ManifestEntry, 'mtimeNs'> {
  readonly isBinary: boolean;
}

const LINK_MODE = 0o777;
/** largest file that is read, in `bytes` */
const MOST_READ = 4 * 1024 ** 3;
/** how much of a file is read at once, in `bytes` */
export const PIECE_BYTES = 256 * 1024;
/** how much of a file tells whether it is text, in `bytes` */
const HEAD_BYTES = 65_536;
/** how far git looks for a NUL, in `bytes` */
const NUL_BYTES = 8000;

/** Looks at a path; null for what is not there, and for what is never listed: FIFOs, sockets, devices, mounts. `buffer`: PIECE_BYTES for reading. */
export const lookAt = async (tree: Tree, path: ByteString, buffer: Buffer, pace: Pace): Promise<Sight | null> => {
  const handle = tree.open(path);
  if (handle === null) return null;
  try {
    const stats = fstatSync(handle);
    const mode = stats.mode & MODE_BITS;
    if (stats.isFile()) return { type: 'file', mode, ...(await readFile(handle, stats, buffer, pace)) };
    if (stats.isDirectory()) return { type: 'directory', mode, size: 0, sha256: SHA256_OF_NOTHING, isBinary: false };
    const target = stats.isSymbolicLink() ? tree.targetOf(path) : null;
    if (target === null) return null;
    const bytes = Buffer.from(target, 'latin1');
    return { type: 'symlink', mode: LINK_MODE, size: bytes.length, sha256: hash('sha256', bytes), isBinary: !isUtf8(bytes) };
  } finally {
    closeSync(handle);
  }
};

/** Whether the first bytes of a file, HEAD_BYTES of them or more, show that it is no text: a NUL where git looks for one, or no UTF-8. */
export const isBinary = (head: Buffer): boolean => head.subarray(0, NUL_BYTES).includes(0) || !isUtf8(startOf(head, HEAD_BYTES));

const readFile = async (handle: Fd, { size }: Stats, buffer: Buffer, pace: Pace): Promise<Pick<Sight, 'size' | 'sha256' | 'isBinary'>> => {
  if (size > MOST_READ) return unread(size);
  const fd = openToRead(handle);
  try {
    let length = readSync(fd, buffer, 0, buffer.length, 0);
    const head = buffer.subarray(0, length);
    const seen = isBinary(head);
    if (length < buffer.length) return { size: length, sha256: hash('sha256', head), isBinary: seen };
    const digest = createHash('sha256').update(head);
    for (;;) {
      const { bytesRead } = await readPiece(fd, buffer, 0, buffer.length, length);
      if (bytesRead === 0) return { size: length, sha256: digest.digest('hex'), isBinary: seen };
      digest.update(buffer.subarray(0, bytesRead));
      length += bytesRead;
      if (length > MOST_READ) return unread(length);
      if (pace.due()) await pace.rest();
    }
  } finally {
    closeSync(fd);
  }
};

const unread = (size: number): Pick<Sight, 'size' | 'sha256' | 'isBinary'> => ({ size, sha256: `not read: ${size} bytes`, isBinary: true });
