/** One layer of a snapshot in the making: a directory of ours that holds what is new, as overlayfs reads it. Nobody else writes there. */
import { Batch, type BatchedCall } from '../../syscall/batch.ts';
import { AT_SYMLINK_NOFOLLOW } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import type { Owner } from '../context/filework.ts';
import { splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { modeOf, putTimes } from './rows.ts';

/** A row: words and the offset in them. */
export interface RowPlace {
  readonly words: Uint32Array;
  readonly at: number;
}

/** entries that are made at once */
const AT_ONCE = 64;
const PATH_BYTES = 4104;
/** man 7 inode */
const S_IFCHR = 0o020000;
/** most calls that one takes: owner, mode, times */
const MOST_STEPS = 3;

export class Layer {
  /** its directory */
  readonly top: Fd;
  readonly #owner: Owner;
  readonly #pace: Pace;
  readonly #batch = new Batch(AT_ONCE * MOST_STEPS, AT_ONCE * (2 * PATH_BYTES + 32));
  readonly #folders = new Set<ByteString>(['']);

  constructor(top: Fd, owner: Owner, pace: Pace) {
    this.top = top;
    this.#owner = owner;
    this.#pace = pace;
  }

  /** Makes directories and those above them; what they are like is said by `finish`, until then they are ours alone. Errors of writing as they are. */
  async makeFolders(paths: readonly ByteString[]): Promise<void> {
    const missing: ByteString[] = [];
    const want = (path: ByteString): void => {
      if (this.#folders.has(path)) return;
      want(splitName(path).folder);
      this.#folders.add(path);
      missing.push(path);
    };
    for (const path of paths) want(path);
    await this.#each(missing, ['mkdirat'], (path, batch) => void batch.add('mkdirat', this.top, batch.at(batch.text(path)), 0o700));
  }

  /** Makes links in directories that are there. */
  async makeLinks(links: readonly ({ readonly path: ByteString; readonly target: ByteString } & RowPlace)[]): Promise<void> {
    await this.#each(links, ['symlinkat', ...this.#owned, 'utimensat'], ({ path, target, words, at }, batch) => {
      const name = batch.at(batch.text(path));
      batch.add('symlinkat', batch.at(batch.text(target)), this.top, name);
      this.#own(batch, name);
      this.#date(batch, name, words, at);
    });
  }

  /** Hides what lower layers have at these paths: whiteouts, in directories that are there.   man 2 mknod: of 0:0 everyone may make one (Linux 5.8) */
  async hide(paths: readonly ByteString[]): Promise<void> {
    await this.#each(paths, ['mknodat', ...this.#owned], (path, batch) => {
      const name = batch.at(batch.text(path));
      batch.add('mknodat', this.top, name, S_IFCHR | 0o600, 0);
      this.#own(batch, name);
    });
  }

  /** Gives directories that were made their owners, modes and times: after all that is made in them, and those below before those above. */
  async finish(rowOf: (path: ByteString) => RowPlace): Promise<void> {
    const made = [...this.#folders].filter((path) => path !== '').reverse();
    await this.#each(made, [...this.#owned, 'fchmodat', 'utimensat'], (path, batch) => {
      const { words, at } = rowOf(path);
      const name = batch.at(batch.text(path));
      this.#own(batch, name);
      batch.add('fchmodat', this.top, name, modeOf(words, at));
      this.#date(batch, name, words, at);
    });
  }

  get #owned(): readonly BatchedCall[] {
    return this.#owner === null ? [] : ['fchownat'];
  }

  #own(batch: Batch, name: number): void {
    if (this.#owner !== null) batch.add('fchownat', this.top, name, this.#owner.uid, this.#owner.gid, AT_SYMLINK_NOFOLLOW);
  }

  #date(batch: Batch, name: number, words: Uint32Array, at: number): void {
    const times = batch.space(32);
    putTimes(words, at, batch.words, times >> 2);
    batch.add('utimensat', this.top, name, batch.at(times), AT_SYMLINK_NOFOLLOW);
  }

  // Makes the same calls for each item, many at a time.
  async #each<T>(items: readonly T[], calls: readonly BatchedCall[], add: (item: T, batch: Batch) => void): Promise<void> {
    const batch = this.#batch;
    for (let start = 0; start < items.length; start += AT_ONCE) {
      const some = items.slice(start, start + AT_ONCE);
      batch.clear();
      for (const item of some) add(item, batch);
      batch.run();
      for (let call = 0; call < some.length * calls.length; call++) batch.value(call, calls[call % calls.length]!);
      if (this.#pace.due()) await this.#pace.rest();
    }
  }
}
