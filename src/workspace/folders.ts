/** Directories of a tree that others may change while it is walked: opened from its top, without following a link or entering a mount. */
import { closeSync } from 'node:fs';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from '../syscall/constants.ts';
import { openat2, type Fd } from '../syscall/files.ts';
import { bytesOf, type ByteString } from './names.ts';

const HERE_ONLY = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

/**
 * Opens what lies at `path` below a directory, `''` for the directory itself. A link on the way is ELOOP, a mount point EXDEV: bind mounts of
 * the same file system, and mounts on a single file, too.   man 2 openat2
 */
export const openBeneath = (top: Fd, path: ByteString, flags: number): Fd => openat2(top, path === '' ? '.' : bytesOf(path), flags | O_NOFOLLOW, HERE_ONLY);

/** One directory of a tree at a time, kept open while its files are worked on: files of one directory mostly follow each other. */
export class OpenFolder {
  #top = -1;
  #path: ByteString = '';
  #fd = -1;

  /** The descriptor of the directory at `path` below `top`; good until the next call. */
  at(top: Fd, path: ByteString): Fd {
    if (this.#fd < 0 || this.#top !== top || this.#path !== path) {
      this.close();
      this.#fd = openBeneath(top, path, O_PATH | O_DIRECTORY);
      this.#top = top;
      this.#path = path;
    }
    return this.#fd;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
