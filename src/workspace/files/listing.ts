/** The entries of a hostile directory: sorted, by page. Memory and time are bounded, however many there are. */
import { lstatSync, opendirSync } from 'node:fs';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { pathOf, type Fd } from '../../syscall/files.ts';
import { bytesBelow, shownName, type ByteString } from '../names.ts';
import { Pace } from '../pace.ts';
import { shownPath } from '../paths.ts';
import { shownMode, shownSize, typeOf, type FileType } from '../status.ts';

export interface ListedEntry {
  /** quoted as git does where it is not UTF-8 or holds control characters */
  readonly name: string;
  readonly type: FileType;
  /** in `bytes` */
  readonly size: number;
  readonly mode: string;
}

export interface DirectoryResult {
  readonly type: 'directory';
  readonly entries: ListedEntry[];
  readonly truncated: boolean;
}

/** Which entries are asked for. */
export interface Page {
  /** the first, from 1 */
  readonly offset: number;
  readonly limit: number;
}

/** most entries of one answer: their names may be 255 bytes each, quoted four characters a byte */
const MOST_LISTED = 2000;
/** how far into the sorted names a page may lie: so many are held */
const MOST_HELD = 100_000;
/** most entries that are looked at: with more, the listing is of these */
const MOST_SEEN = 1_000_000;

/**
 * Lists a page of an open directory, sorted by the bytes of the names; more than 2 000 entries are never given. An entry that is gone by the time
 * it is looked at is left out. Of a directory with more than a million entries only a million are known, and `truncated` stays true.
 * Throws LIMIT_EXCEEDED for a page beyond the 100 000th entry.
 */
export const listDirectory = async (fd: Fd, page: Page, given: string, signal: AbortSignal): Promise<DirectoryResult> => {
  const pace = new Pace(signal);
  const first = new FirstNames(lastOf(page, given) + 1);
  let isCut = false;
  using directory = openNames(fd);
  for (let seen = 0, entry = directory.read(); entry !== null; entry = directory.read()) {
    isCut = ++seen > MOST_SEEN;
    if (isCut) break;
    first.add(entry.name);
    if (pace.due()) await pace.rest();
  }
  const { names, hasMore } = pageOf(first.sorted(), page);
  const entries: ListedEntry[] = [];
  for (const name of names) {
    const entry = entryOf(fd, name);
    if (entry !== null) entries.push(entry);
    if (pace.due()) await pace.rest();
  }
  return { type: 'directory', entries, truncated: hasMore || isCut };
};

/** How many names from the first on a page needs. Throws LIMIT_EXCEEDED where they would be too many. */
const lastOf = ({ offset, limit }: Page, given: string): number => {
  const last = offset - 1 + Math.min(limit, MOST_LISTED);
  if (last <= MOST_HELD) return last;
  throw new SandboxError('LIMIT_EXCEEDED', `entry ${offset} of ${shownPath(given)} is not listed: only the first ${MOST_HELD} are`, {
    hint: 'narrow it down with sandbox_exec, with `find` or `ls`',
  });
};

/** The page of names that are sorted and start with the first of all; `hasMore`: whether others follow. */
const pageOf = <T>(sorted: readonly T[], { offset, limit }: Page): { names: readonly T[]; hasMore: boolean } => {
  const end = offset - 1 + Math.min(limit, MOST_LISTED);
  return { names: sorted.slice(offset - 1, end), hasMore: sorted.length > end };
};

/** Lists a page of entries that are known already; `isCut`: not all of them are. Throws as listDirectory does. */
export const listEntries = (entries: ReadonlyMap<ByteString, Omit<ListedEntry, 'name'>>, page: Page, given: string, isCut: boolean): DirectoryResult => {
  lastOf(page, given);
  const { names, hasMore } = pageOf([...entries.keys()].toSorted(byBytes), page);
  return { type: 'directory', entries: names.map((name) => ({ name: shownName(name), ...entries.get(name)! })), truncated: hasMore || isCut };
};

const byBytes = (a: ByteString, b: ByteString): number => (a < b ? -1 : Number(a > b));

/** fewest names that are worth sorting at once */
const SORTED_AT_ONCE = 8192;

/** The first of many names, by their bytes; at most twice as many as are wanted are held, or a few thousand. */
class FirstNames {
  readonly #wanted: number;
  #names: ByteString[] = [];
  /** the last name that can still count */
  #bound: ByteString | undefined;

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  add(name: ByteString): void {
    if (this.#bound !== undefined && name > this.#bound) return;
    this.#names.push(name);
    if (this.#names.length < Math.max(2 * this.#wanted, SORTED_AT_ONCE)) return;
    this.#names = this.sorted();
    this.#bound = this.#names.at(-1);
  }

  sorted(): ByteString[] {
    return this.#names.toSorted(byBytes).slice(0, this.#wanted);
  }
}

/** The names of a directory, one character a byte. */
const openNames = (fd: Fd) => {
  const directory = opendirSync(pathOf(fd), { encoding: 'latin1', bufferSize: 1024 });
  return { read: () => directory.readSync(), [Symbol.dispose]: () => directory.closeSync() };
};

// The name goes through the descriptor, and a link at its end is not followed: whatever it has become, it is an entry of this directory.
const entryOf = (fd: Fd, name: ByteString): ListedEntry | null => {
  try {
    const { mode, size } = lstatSync(bytesBelow(fd, name));
    return { name: shownName(name), type: typeOf(mode), size: shownSize(size), mode: shownMode(mode) };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
};
