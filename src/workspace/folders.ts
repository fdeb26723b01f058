/** Directories of a tree that others may change while it is walked: opened from its top, without following a link or entering a mount. */
import { O_NOFOLLOW, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from '../syscall/constants.ts';
import { openat2, type Fd } from '../syscall/files.ts';
import { bytesOf, type ByteString } from './names.ts';

const HERE_ONLY = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

/**
 * Opens what lies at `path` below a directory, `''` for the directory itself. A link on the way is ELOOP, a mount point EXDEV: bind mounts of
 * the same file system, and mounts on a single file, too.   man 2 openat2
 */
export const openBeneath = (top: Fd, path: ByteString, flags: number): Fd => openat2(top, path === '' ? '.' : bytesOf(path), flags | O_NOFOLLOW, HERE_ONLY);
