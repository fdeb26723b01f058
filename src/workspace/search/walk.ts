/**
 * The regular files below a directory of a hostile tree that changes meanwhile. Each directory is reached anew from the top by the kernel: however deep the
 * tree is, only one is open at a time, and what has been swapped for a link is passed over.
 */
import { withFd, openInRoot, type Fd } from '../../syscall/files.ts';
import { O_DIRECTORY, O_PATH } from '../../syscall/constants.ts';
import type { Entries, OpenFile } from './entries.ts';
import type { Held } from './held.ts';
import { addRules, isIgnored, isPlaceIgnored, type Rules } from './ignored.ts';
import { bytesOf, joinName, type ByteString } from '../names.ts';

/** Where a walk is made. */
export interface Walk {
  /** descriptor of the sandbox's tree */
  readonly door: Fd;
  /** descriptor of the directory, and its absolute place in the tree */
  readonly top: Fd;
  readonly place: ByteString;
  /** whether somebody asked for just this place: then it is not ignored */
  readonly isNamed: boolean;
  readonly entries: Entries;
  readonly held: Held;
  /** called often; throws to end the walk */
  readonly check: () => void;
}

export interface FoundFile {
  /** absolute, in the tree */
  readonly path: ByteString;
  /** Opens it, where it is still a file that `agent` may read; `held` closes it. */
  open(): OpenFile | null;
}

interface Pending {
  /** below the top, `''` for itself */
  readonly path: ByteString;
  readonly depth: number;
  readonly above: Rules | null;
}

/** deepest directory that is entered, from the top */
const MOST_DEEP = 5000;

/** The files that no .gitignore takes away, `.git` left out: of each directory first its files, then its directories, by their names' bytes. */
export function* filesBelow(walk: Walk): Generator<FoundFile> {
  const { top, place, entries, held } = walk;
  const book = new RuleBook(entries);
  const pending: Pending[] = [{ path: '', depth: 0, above: rulesAbove(walk, book) }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const directory = entries.openDirectory(top, next.path);
    if (directory === null) continue;
    try {
      const inside: Pending[] = [];
      const here = next.path === '' ? place : below(place, next.path);
      const given = book.rulesIn(directory, here, next.above);
      const rules = here === place && walk.isNamed && isPlaceIgnored(given, place) ? null : given;
      for (const names of entries.namesOf(directory)) {
        for (const { name, type } of names) {
          walk.check();
          const path = below(here, name);
          if (name === '.git' || (type !== 'file' && type !== 'directory') || isIgnored(rules, path, type === 'directory')) continue;
          if (type === 'file') yield { path, open: () => entries.openFile(directory, name) };
          else if (next.depth < MOST_DEEP) inside.push({ path: joinName(next.path, name), depth: next.depth + 1, above: rules });
        }
      }
      for (const one of inside.reverse()) pending.push(one);
    } finally {
      held.close(directory);
    }
  }
}

const below = (place: ByteString, name: ByteString): ByteString => (place === '/' ? `/${name}` : `${place}/${name}`);

/** most that is read of one file of rules, and of all of a search, in `bytes`; the rest says nothing */
const MOST_RULES = 128 * 1024;
const MOST_RULES_IN_ALL = 1024 * 1024;

/** Reads the rules of directories. */
class RuleBook {
  readonly #entries: Entries;
  #left = MOST_RULES_IN_ALL;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  /** The rules that hold in a directory. Where a repository begins, what is above it says nothing. */
  rulesIn(directory: Fd, place: ByteString, above: Rules | null): Rules | null {
    const isTop = this.#entries.has(directory, '.git');
    const excluded = isTop ? this.#read(directory, '.git/info/exclude') : null;
    const ignored = this.#read(directory, '.gitignore');
    const base = excluded === null ? (isTop ? null : above) : addRules(excluded, place, null);
    return ignored === null ? base : addRules(ignored, place, base);
  }

  #read(directory: Fd, path: ByteString): string | null {
    const text = this.#entries.readStart(directory, path, Math.min(MOST_RULES, this.#left));
    this.#left -= text?.length ?? 0;
    return text;
  }
}

// The rules of the directories that hold the top.
const rulesAbove = ({ door, place }: Walk, book: RuleBook): Rules | null => {
  let rules: Rules | null = null;
  for (let end = 0; end >= 0 && end < place.length - 1; end = place.indexOf('/', end + 1)) {
    const above = place.slice(0, end) || '/';
    rules = withFd(openInRoot(door, bytesOf(above), O_PATH | O_DIRECTORY), (directory) => book.rulesIn(directory, above, rules));
  }
  return rules;
};
