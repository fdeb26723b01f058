/** What a context holds and what of it is left out, and why: names and stats only, no file is read. copy.ts brings the bytes. */
import { hash } from 'node:crypto';
import { closeSync, opendirSync, readlinkSync, type Dir } from 'node:fs';
import { hasCode, SyscallError } from '../../syscall/call.ts';
import { O_DIRECTORY, O_PATH, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../../syscall/constants.ts';
import { pathOf, type Fd } from '../../syscall/files.ts';
import { Elsewhere } from './elsewhere.ts';
import { keepsChanging, pathInSource, type Entry, type LeftOut, type Source } from './entry.ts';
import { openBeneath } from '../folders.ts';
import { openGitDirectory } from './gitdir.ts';
import { isLinkKept } from './links.ts';
import { Looker, NAMES_AT_ONCE, nextNames } from './look.ts';
import { bytesBelow, bytesOf, joinName, MAX_PATH_BYTES, shownName, type ByteString } from '../names.ts';
import { sortedByPath } from '../order.ts';
import type { Pace } from '../pace.ts';
import type { AllowedRoots } from '../roots.ts';
import { flagsOf, FRESH, KIND_OF, reasonOf, ROW_WORDS, Rows, sameFacts, sameInode, setFound, sizeOf, statFd, typeOf } from '../store/rows.ts';
import type { ContextRules, Judge, Reason } from './rules.ts';
import type { Known } from '../store/table.ts';
import { Tally } from './tally.ts';

/** What was found. The entries refer to open directories: `close` them when the copy is made. */
export interface Scan {
  /** each directory before what it holds; what it holds in the order of the names' bytes. Among them is what only its content leaves out, known from before */
  readonly entries: readonly Entry[];
  readonly rows: Rows;
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
  /** what an earlier scan found: what has not changed since is not judged again */
  readonly known?: Known | null;
  /** facts of a directory that is left out wherever it lies: the store that snapshots of this context go to */
  readonly store?: Uint32Array;
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

const [ENOENT, EACCES] = [2, 13];

class Walk implements Scan {
  readonly entries: Entry[] = [];
  readonly rows = new Rows();
  readonly leftOut: LeftOut[] = [];
  readonly #options: ScanOptions;
  readonly #tally: Tally;
  readonly #context: Source;
  /** path of the context on the host */
  readonly #home: ByteString;
  readonly #elsewhere: Elsewhere;
  readonly #looker = new Looker();

  constructor(top: Fd, options: ScanOptions) {
    this.#options = options;
    this.#tally = new Tally(options.limits);
    this.#context = { fd: top, place: '', holds: () => true };
    this.#home = readlinkSync(pathOf(top), 'latin1');
    this.#elsewhere = new Elsewhere((dir, folder) => openGitDirectory(dir, joinName(this.#home, folder), this.#home, options.allowed));
  }

  get warnings(): string[] {
    return this.#elsewhere.warnings;
  }

  close(): void {
    this.#elsewhere.close();
  }

  async run(): Promise<void> {
    const pending = ((await this.#entriesIn('', [this.#context])) ?? []).toReversed();
    for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
      const below = entry.type === 'directory' ? await this.#entriesIn(entry.path, this.#elsewhere.at(entry.path) ?? [entry.source]) : [];
      if (below === null) continue;
      this.entries.push(entry);
      while (below.length > 0) pending.push(below.pop()!);
    }
    this.#tally.check();
  }

  // What a directory holds, in order; null when the directory itself is left out or gone.
  async #entriesIn(folder: ByteString, sources: readonly Source[]): Promise<Entry[] | null> {
    const found: Entry[] = [];
    for (const [index, source] of sources.entries()) {
      const opened = this.#open(folder, source);
      if (opened === null) return null;
      try {
        if (index === 0) this.#tally.countFolder(folder);
        for (let names = nextNames(opened.names); names.length > 0; names = nextNames(opened.names)) {
          const wanted = names.filter((name) => source.holds(pathInSource(joinName(folder, name), source)));
          this.#look(opened.fd, folder, wanted, source, found);
          if (this.#options.pace.due()) await this.#options.pace.rest();
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

  #leaveOut(path: ByteString, reason: LeftOut['reason']): null {
    this.leftOut.push({ path, reason });
    this.#tally.countLeftOut();
    return null;
  }

  // Adds those of the names to `found` that are part of the context and there.
  #look(dir: Fd, folder: ByteString, names: readonly ByteString[], source: Source, found: Entry[]): void {
    for (const [index, at] of this.#looker.look(dir, names, this.rows).entries()) {
      const place = { dir, folder, name: names[index]!, path: joinName(folder, names[index]!), source };
      if (at === -EACCES) this.#leaveOut(place.path, 'unreadable');
      else if (at < 0 && at !== -ENOENT) throw new SyscallError('statx', -at, [shownName(place.path)]);
      const entry = at < 0 ? null : (this.#known(place, at) ?? this.#judge(place, at));
      if (entry !== null) found.push(entry);
    }
  }

  // An entry that has not changed since it was judged. A `.git` file always is: what it names may have changed.
  #known({ folder, name, path, source }: Place, at: number): Entry | null {
    const { words } = this.rows;
    const row = this.#options.known?.find(path) ?? -1;
    if (row < 0 || (name === '.git' && typeOf(words, at) === S_IFREG)) return null;
    const known = this.#options.known!.table.words;
    if (flagsOf(known, row) === FRESH || !sameFacts(known, row, words, at)) return null;
    for (let word = 0; word < ROW_WORDS; word++) words[at + word] = known[row + word]!;
    const reason = reasonOf(words, at);
    const type = typeOf(words, at);
    if (reason !== null) this.#leaveOut(path, reason);
    else if (type !== S_IFDIR) this.#tally.countFile(folder, sizeOf(words, at));
    return { path, type: type === S_IFDIR ? 'directory' : type === S_IFREG ? 'file' : 'link', source, at, target: '', isSame: true };
  }

  // One name of a directory: an entry, or null for what is left out, gone or not part of the context.
  #judge(place: Place, at: number): Entry | null {
    const { dir, folder, name, path, source } = place;
    const { words } = this.rows;
    const type = typeOf(words, at);
    const { judge, store } = this.#options;
    if (store !== undefined && type === S_IFDIR && sameInode(store, 0, words, at)) return this.#leaveOut(path, 'snapshots of contexts');
    const reason = path.length > MAX_PATH_BYTES ? 'path too long' : (judge.byName(path, type === S_IFDIR) ?? specialReason(type));
    if (reason !== null) return this.#leaveOut(path, reason);
    if (type === S_IFLNK) return this.#judgeLink(place, at);
    const elsewhere = name === '.git' && type === S_IFREG && source === this.#context ? this.#elsewhere.follow(dir, folder) : null;
    if (elsewhere !== null) statFd(elsewhere[0]!.fd, words, at);
    const isFile = type === S_IFREG && elsewhere === null;
    if (isFile) this.#tally.countFile(folder, sizeOf(words, at));
    else setFound(words, at, KIND_OF.directory, 0, '');
    return { path, type: isFile ? 'file' : 'directory', source: elsewhere?.[0] ?? source, at, target: '', isSame: false };
  }

  #judgeLink({ dir, folder, name, path, source }: Place, at: number): Entry | null {
    const target = readTarget(dir, name, path);
    if (target === null) return null;
    const kind = isLinkKept(this.#home, path, target) ? KIND_OF.symlink : KIND_OF['link out of the context'];
    if (kind === KIND_OF.symlink) this.#tally.countFile(folder, target.length);
    else this.#leaveOut(path, 'link out of the context');
    setFound(this.rows.words, at, kind, target.length, hash('sha256', bytesOf(target), 'binary'));
    return { path, type: 'link', source, at, target, isSame: false };
  }
}

/** A name in an open directory. */
interface Place {
  readonly dir: Fd;
  readonly folder: ByteString;
  readonly name: ByteString;
  readonly path: ByteString;
  readonly source: Source;
}

const readTarget = (dir: Fd, name: ByteString, path: ByteString): ByteString | null => {
  try {
    return readlinkSync(bytesBelow(dir, name), 'latin1');
  } catch (error) {
    if (hasCode(error, 'EINVAL')) throw keepsChanging(path);
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
};

const specialReason = (type: number): Reason | null => {
  if (type === S_IFIFO) return 'fifo';
  if (type === S_IFSOCK) return 'socket';
  return type === S_IFREG || type === S_IFDIR || type === S_IFLNK ? null : 'device';
};
