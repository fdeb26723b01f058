/**
 * The entries of a hostile directory, for a walk. No link is followed, nothing but regular files and directories is opened, and what `agent` may not read
 * is passed over: as `null`, like everything that is gone or has become something else.
 */
import { fstatSync, lstatSync, opendirSync, readSync, type Dirent } from 'node:fs';
import { hasCode } from '../../syscall/call.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS } from '../../syscall/constants.ts';
import { openat2, openToRead, pathOf, type Fd } from '../../syscall/files.ts';
import { mayRead, type Agent } from '../files/door.ts';
import type { Held } from './held.ts';
import { bytesBelow, bytesOf, type ByteString } from '../names.ts';
import { typeOf, type FileType } from '../status.ts';

export interface OpenFile {
  readonly fd: Fd;
  /** in `bytes` */
  readonly size: number;
}

export interface NamedEntry {
  readonly name: ByteString;
  readonly type: FileType;
}

/** Other mounts are entered: all that are there are the sandbox's own. */
const HERE_ONLY = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
/** longest path that is handed to the kernel at once, in `bytes`   man 7 path_resolution */
const LONGEST = 4000;
/** most names that are held and sorted at once */
const MOST_SORTED = 100_000;

export class Entries {
  readonly #held: Held;
  readonly #agent: Agent;

  constructor(held: Held, agent: Agent) {
    this.#held = held;
    this.#agent = agent;
  }

  /** Opens the directory at `path` below another, `''` for that itself, to look names up in it. Here as below, `held` closes what is opened. */
  openDirectory(top: Fd, path: ByteString): Fd | null {
    if (path.length <= LONGEST) return this.#openDirectory(top, path || '.');
    const cut = path.lastIndexOf('/', LONGEST);
    const middle = this.#openDirectory(top, path.slice(0, cut));
    if (middle === null) return null;
    try {
      return this.openDirectory(middle, path.slice(cut + 1));
    } finally {
      this.#held.close(middle);
    }
  }

  #openDirectory(top: Fd, path: ByteString): Fd | null {
    const fd = this.#look(top, path, O_DIRECTORY);
    if (fd === null || mayRead(this.#agent, fstatSync(fd))) return fd;
    this.#held.close(fd);
    return null;
  }

  /** Opens a regular file that is not empty for reading. */
  openFile(directory: Fd, path: ByteString): OpenFile | null {
    const handle = this.#look(directory, path, 0);
    if (handle === null) return null;
    try {
      const stats = fstatSync(handle);
      if (!stats.isFile() || stats.size === 0 || !mayRead(this.#agent, stats)) return null;
      return { fd: this.#held.hold(openToRead(handle)), size: stats.size };
    } catch (error) {
      return passedOver(error);
    } finally {
      this.#held.close(handle);
    }
  }

  /** The beginning of a regular file, one character a byte. */
  readStart(directory: Fd, path: ByteString, most: number): string | null {
    const file = this.openFile(directory, path);
    if (file === null) return null;
    try {
      const bytes = Buffer.alloc(Math.min(file.size, most));
      return bytes.toString('latin1', 0, readSync(file.fd, bytes));
    } finally {
      this.#held.close(file.fd);
    }
  }

  /** Whether there is an entry of this name. */
  has(directory: Fd, name: ByteString): boolean {
    const handle = this.#look(directory, name, 0);
    if (handle !== null) this.#held.close(handle);
    return handle !== null;
  }

  /** The names of a directory in parts, each sorted by the names' bytes; one part but for huge directories. */
  *namesOf(directory: Fd): Generator<NamedEntry[]> {
    const open = opendirSync(pathOf(directory), { encoding: 'latin1', bufferSize: 1024 });
    try {
      let names: NamedEntry[] = [];
      for (let entry = open.readSync(); entry !== null; entry = open.readSync()) {
        names.push({ name: entry.name, type: entryType(directory, entry) });
        if (names.length === MOST_SORTED) {
          yield names.sort(byName);
          names = [];
        }
      }
      yield names.sort(byName);
    } finally {
      open.closeSync();
    }
  }

  #look(directory: Fd, path: ByteString, flags: number): Fd | null {
    try {
      return this.#held.hold(openat2(directory, bytesOf(path), O_PATH | O_NOFOLLOW | flags, HERE_ONLY));
    } catch (error) {
      return passedOver(error);
    }
  }
}

const byName = (a: NamedEntry, b: NamedEntry): number => (a.name < b.name ? -1 : 1);

// A file system that does not tell the types of names is asked for each.
const entryType = (directory: Fd, entry: Dirent): FileType => {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  if (entry.isSymbolicLink()) return 'symlink';
  if (entry.isFIFO()) return 'fifo';
  if (entry.isSocket()) return 'socket';
  try {
    return typeOf(lstatSync(bytesBelow(directory, entry.name)).mode);
  } catch (error) {
    return passedOver(error) ?? 'device';
  }
};

const PASSED_OVER = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM', 'EAGAIN', 'EXDEV', 'ENXIO', 'EIO', 'ESTALE', 'ENAMETOOLONG', 'ETXTBSY'];

const passedOver = (error: unknown): null => {
  if (hasCode(error, ...PASSED_OVER)) return null;
  throw error;
};
