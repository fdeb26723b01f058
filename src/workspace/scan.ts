/** What a context holds and what of it is left out, and why: names and stats only, no file is read. copy.ts brings the bytes. */
import { closeSync, fstatSync, lstatSync, opendirSync, readlinkSync, type BigIntStats, type Dir } from 'node:fs';
import { hasCode } from '../syscall/call.ts';
import { O_DIRECTORY, O_PATH } from '../syscall/constants.ts';
import { pathOf, type Fd } from '../syscall/files.ts';
import { factsOf, keepsChanging, pathInSource, type Entry, type LeftOut, type Source } from './entry.ts';
import { openBeneath } from './folders.ts';
import { openGitDirectory } from './gitdir.ts';
import { isLinkKept } from './links.ts';
import { bytesBelow, joinName, shownName, type ByteString } from './names.ts';
import { sortedByPath } from './order.ts';
import type { Pace } from './pace.ts';
import type { AllowedRoots } from './roots.ts';
import type { ContextRules, Judge, Reason } from './rules.ts';
import { Tally } from './tally.ts';

/** What was found. The entries refer to open directories: `close` them when the copy is made. */
export interface Scan {
  /** each directory before what it holds; what it holds in the order of the names' bytes */
  readonly entries: readonly Entry[];
  readonly leftOut: readonly LeftOut[];
  readonly warnings: readonly string[];
  close(): void;
}

export interface ScanOptions {
  readonly judge: Judge;
  readonly limits: Pick<ContextRules, 'maxFiles' | 'maxBytes'>;
  /** where the git directories may lie that `.git` files name */
  readonly allowed: AllowedRoots;
  readonly pace: Pace;
}

/**
 * Looks at everything below the directory `top`, whose descriptor stays the caller's. Throws CONTEXT_TOO_LARGE beyond the limits (of files at
 * once, of bytes when it is known where they lie), CONTEXT_REFUSED when a directory turns into something else meanwhile, and CANCELED.
 */
export const scanContext = async (top: Fd, options: ScanOptions): Promise<Scan> => {
  const walk = new Walk(top, options);
  try {
    await walk.run();
    return walk;
  } catch (error) {
    walk.close();
    throw error;
  }
};

/** longest path within a context, in bytes: with `/workspace/` before it the kernel still takes it in one piece */
const MAX_PATH_BYTES = 4000;
/** most git directories from elsewhere: each keeps two descriptors open */
const MAX_GIT_DIRECTORIES = 32;
/** names that are read from a directory at once */
const NAMES_AT_ONCE = 512;

class Walk implements Scan {
  readonly entries: Entry[] = [];
  readonly leftOut: LeftOut[] = [];
  readonly #options: ScanOptions;
  readonly #tally: Tally;
  readonly #context: Source;
  /** path of the context on the host */
  readonly #home: ByteString;
  /** what takes the place of a `.git` file, by that place */
  readonly #elsewhere = new Map<ByteString, Source[]>();
  readonly #unusable: string[] = [];

  constructor(top: Fd, options: ScanOptions) {
    this.#options = options;
    this.#tally = new Tally(options.limits);
    this.#context = { fd: top, place: '', holds: () => true };
    this.#home = readlinkSync(pathOf(top), 'latin1');
  }

  get warnings(): string[] {
    const more = this.#unusable.length > 3 ? [`git will not work in ${this.#unusable.length - 3} more directories whose .git is a file`] : [];
    return [...this.#unusable.slice(0, 3), ...more];
  }

  close(): void {
    for (const { fd } of [...this.#elsewhere.values()].flat()) closeSync(fd);
    this.#elsewhere.clear();
  }

  async run(): Promise<void> {
    const pending = ((await this.#namesIn('', [this.#context])) ?? []).toReversed();
    for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
      const below = entry.type === 'directory' ? await this.#namesIn(entry.path, this.#elsewhere.get(entry.path) ?? [entry.source]) : [];
      if (below === null) continue;
      this.entries.push(entry);
      while (below.length > 0) pending.push(below.pop()!);
    }
    this.#tally.check();
  }

  // What a directory holds, in order; null when the directory itself is left out or gone.
  async #namesIn(folder: ByteString, sources: readonly Source[]): Promise<Entry[] | null> {
    const found: Entry[] = [];
    for (const [index, source] of sources.entries()) {
      const opened = this.#open(folder, source);
      if (opened === null) return null;
      try {
        if (index === 0) this.#tally.countFolder(folder);
        for (let item = opened.names.readSync(); item !== null; item = opened.names.readSync()) {
          if (this.#options.pace.due()) await this.#options.pace.rest();
          const entry = this.#look(opened.fd, folder, item.name, source);
          if (entry !== null) found.push(entry);
        }
      } finally {
        opened.names.closeSync();
        closeSync(opened.fd);
      }
    }
    return sortedByPath(found, this.#options.pace);
  }

  #open(folder: ByteString, source: Source): { fd: Fd; names: Dir } | null {
    let fd: Fd | undefined;
    try {
      fd = openBeneath(source.fd, pathInSource(folder, source), O_PATH | O_DIRECTORY);
      return { fd, names: opendirSync(pathOf(fd), { encoding: 'latin1', bufferSize: NAMES_AT_ONCE }) };
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      if (hasCode(error, 'ELOOP', 'ENOTDIR')) throw keepsChanging(folder);
      if (hasCode(error, 'EXDEV')) return this.#leaveOut(folder, 'mount point');
      if (hasCode(error, 'EACCES')) return this.#leaveOut(folder, 'unreadable');
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  #leaveOut(path: ByteString, reason: Reason): null {
    this.leftOut.push({ path, reason });
    this.#tally.countLeftOut();
    return null;
  }

  // One name of a directory: an entry, or null for what is left out, gone or not part of the context.
  #look(dir: Fd, folder: ByteString, name: ByteString, source: Source): Entry | null {
    const path = joinName(folder, name);
    if (!source.holds(pathInSource(path, source))) return null;
    try {
      const stats = lstatSync(bytesBelow(dir, name), { bigint: true });
      const reason = path.length > MAX_PATH_BYTES ? 'path too long' : (this.#options.judge.byName(path, stats.isDirectory()) ?? specialReason(stats));
      if (reason !== null) return this.#leaveOut(path, reason);
      const target = stats.isSymbolicLink() ? readlinkSync(bytesBelow(dir, name), 'latin1') : '';
      if (target !== '' && !isLinkKept(this.#home, path, target)) return this.#leaveOut(path, 'link out of the context');
      const elsewhere = name === '.git' && stats.isFile() && source === this.#context ? this.#follow(dir, folder) : null;
      if (elsewhere !== null) return elsewhere;
      const type = stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'link';
      if (type !== 'directory') this.#tally.countFile(folder, Number(stats.size));
      return { path, type, source, facts: factsOf(stats), target };
    } catch (error) {
      if (hasCode(error, 'EACCES')) return this.#leaveOut(path, 'unreadable');
      if (hasCode(error, 'EINVAL')) throw keepsChanging(path);
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  // A `.git` file as the directory that it names; null when the file stays what it is.
  #follow(dir: Fd, folder: ByteString): Entry | null {
    const path = joinName(folder, '.git');
    const isOneMore = this.#elsewhere.size < MAX_GIT_DIRECTORIES;
    const found = isOneMore ? openGitDirectory(dir, joinName(this.#home, folder), this.#home, this.#options.allowed) : { unusable: 'too many are elsewhere' };
    if (found === 'as it is') return null;
    if ('unusable' in found) {
      this.#unusable.push(`git will not work in ${folder === '' ? 'the workspace' : shownName(folder)}: ${shownName(path)} is a file, and ${found.unusable}`);
      return null;
    }
    const sources = found.parts.map(({ fd, holds }) => ({ fd, holds, place: path }));
    this.#elsewhere.set(path, sources);
    return { path, type: 'directory', source: sources[0]!, facts: factsOf(fstatSync(sources[0]!.fd, { bigint: true })), target: '' };
  }
}

const specialReason = (stats: BigIntStats): Reason | null => {
  if (stats.isFIFO()) return 'fifo';
  if (stats.isSocket()) return 'socket';
  return stats.isBlockDevice() || stats.isCharacterDevice() ? 'device' : null;
};
