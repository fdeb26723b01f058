/** A tree of files that may be hostile and change while it is looked at: reached from its top by descriptors, links not followed, mounts not entered, only regular files opened. */
import { closeSync, fstatSync, opendirSync, read, readlinkSync, readSync, type Dirent } from 'node:fs';
import { promisify } from 'node:util';
import { hasCode } from '../syscall/call.ts';
import { O_DIRECTORY, O_PATH } from '../syscall/constants.ts';
import { openToRead, pathOf, withFd, type Fd } from '../syscall/files.ts';
import { openBeneath } from './folders.ts';
import { bytesBelow, splitName, type ByteString } from './names.ts';

/** names that are read from a directory at once */
const NAMES_AT_ONCE = 512;

export class Tree {
  readonly #top: Fd;
  /** the directory that was needed last, kept open: entries of one directory mostly follow each other */
  #folder: ByteString | null = null;
  #fd: Fd = -1;

  /** `top`: a descriptor of its directory, which stays the caller's */
  constructor(top: Fd) {
    this.#top = top;
  }

  close(): void {
    if (this.#folder !== null) closeSync(this.#fd);
    this.#folder = null;
  }

  /** A handle on what lies at a path, for looking at it only; null for nothing and for a mount. The caller closes it. */
  open(path: ByteString, flags = O_PATH): Fd | null {
    const { folder, name } = splitName(path);
    return orNull(() => openBeneath(this.#at(folder), name, flags));
  }

  /** What a link says, one character a byte; null where there is no link. */
  targetOf(path: ByteString): ByteString | null {
    const { folder, name } = splitName(path);
    return orNull(() => readlinkSync(bytesBelow(this.#at(folder), name), 'latin1'));
  }

  /** The entries of a directory, their names one character a byte; none where there is no directory, and of one that is not wanted. */
  *list(folder: ByteString, isWanted: (directory: Fd) => boolean = () => true): Generator<Dirent> {
    const fd = orNull(() => openBeneath(this.#top, folder, O_PATH | O_DIRECTORY));
    if (fd === null) return;
    try {
      if (!isWanted(fd)) return;
      const directory = opendirSync(pathOf(fd), { encoding: 'latin1', bufferSize: NAMES_AT_ONCE });
      try {
        for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) yield entry;
      } finally {
        directory.closeSync();
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Whether a directory is there and holds nothing. */
  isEmpty(folder: ByteString): boolean {
    for (const _ of this.list(folder)) return false;
    return orNull(() => withFd(openBeneath(this.#top, folder, O_PATH | O_DIRECTORY), () => true)) ?? false;
  }

  /** The content of a regular file, or what a link says; null for anything else, and for more than `most` bytes. */
  async contentOf(path: ByteString, most: number): Promise<Buffer | null> {
    const handle = this.open(path);
    if (handle === null) return null;
    try {
      const stats = fstatSync(handle);
      if (stats.isSymbolicLink()) return bufferOf(this.targetOf(path));
      return stats.isFile() && stats.size <= most ? await readWhole(handle, stats.size) : null;
    } finally {
      closeSync(handle);
    }
  }

  /** Reads the beginning of a regular file into a buffer; null for nothing, and empty for anything else. */
  headOf(path: ByteString, into: Buffer): Buffer | null {
    const handle = this.open(path);
    if (handle === null) return null;
    return withFd(handle, () => {
      if (!fstatSync(handle).isFile()) return into.subarray(0, 0);
      return withFd(openToRead(handle), (fd) => into.subarray(0, readSync(fd, into, 0, into.length, 0)));
    });
  }

  #at(folder: ByteString): Fd {
    if (this.#folder === folder) return this.#fd;
    this.close();
    this.#fd = openBeneath(this.#top, folder, O_PATH | O_DIRECTORY);
    this.#folder = folder;
    return this.#fd;
  }
}

/** Reads a piece on another thread. */
export const readPiece = promisify(read);

const readWhole = async (handle: Fd, size: number): Promise<Buffer> => {
  const fd = openToRead(handle);
  try {
    const content = Buffer.allocUnsafe(size);
    let filled = 0;
    for (let got = 1; got > 0 && filled < size; filled += got) got = (await readPiece(fd, content, filled, size - filled, filled)).bytesRead;
    return content.subarray(0, filled);
  } finally {
    closeSync(fd);
  }
};

const bufferOf = (target: ByteString | null): Buffer | null => (target === null ? null : Buffer.from(target, 'latin1'));

// What is not there, what is no directory or link any more, a mount, and a path that is too long to be one.
const orNull = <T>(action: () => T): T | null => {
  try {
    return action();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EINVAL', 'ENAMETOOLONG')) return null;
    throw error;
  }
};
