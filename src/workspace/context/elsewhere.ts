/** Git directories that lie elsewhere and go into the place of a `.git` file of the context: followed, kept open, and told about where git will not work. */
import { closeSync } from 'node:fs';
import type { Fd } from '../../syscall/files.ts';
import type { Source } from './entry.ts';
import type { GitDirectory } from './gitdir.ts';
import { joinName, shownName, type ByteString } from '../names.ts';

/** most git directories from elsewhere: each keeps two descriptors open */
const MAX_GIT_DIRECTORIES = 32;
/** most that are named one by one */
const NAMED = 3;

export class Elsewhere {
  readonly #open: (dir: Fd, folder: ByteString) => GitDirectory;
  /** what takes the place of a `.git` file, by that place */
  readonly #sources = new Map<ByteString, readonly Source[]>();
  readonly #unusable: string[] = [];

  /** `open`: follows the `.git` file in a directory of the context. */
  constructor(open: (dir: Fd, folder: ByteString) => GitDirectory) {
    this.#open = open;
  }

  /** Where git will not work, and why. */
  get warnings(): string[] {
    const more = this.#unusable.length > NAMED ? [`git will not work in ${this.#unusable.length - NAMED} more directories whose .git is a file`] : [];
    return [...this.#unusable.slice(0, NAMED), ...more];
  }

  /** What the directory at a path consists of; undefined for one of the context's own. */
  at(path: ByteString): readonly Source[] | undefined {
    return this.#sources.get(path);
  }

  /** Follows the `.git` file in an open directory at `folder`: what takes its place, null when the file stays what it is. */
  follow(dir: Fd, folder: ByteString): readonly Source[] | null {
    const place = joinName(folder, '.git');
    const isOneMore = this.#sources.size < MAX_GIT_DIRECTORIES;
    const found = isOneMore ? this.#open(dir, folder) : { unusable: 'too many are elsewhere' };
    if (found === 'as it is') return null;
    if ('unusable' in found) {
      this.#unusable.push(`git will not work in ${folder === '' ? 'the workspace' : shownName(folder)}: ${shownName(place)} is a file, and ${found.unusable}`);
      return null;
    }
    const sources = found.parts.map(({ fd, holds }) => ({ fd, holds, place }));
    this.#sources.set(place, sources);
    return sources;
  }

  close(): void {
    for (const { fd } of [...this.#sources.values()].flat()) closeSync(fd);
    this.#sources.clear();
  }
}
