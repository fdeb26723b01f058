/**
 * What an apply needs to be taken back, in a directory of its own below the state directory: the list of what becomes of which entry, and the contents of before.
 * It is whole on disk before the first change, and locked as long as its apply works. One without the mark `done` whose lock is free was cut off.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } from '../../syscall/constants.ts';
import { withFd, type Fd } from '../../syscall/files.ts';
import { tryLock } from '../../syscall/lock.ts';
import type { Transition } from './transitions.ts';

const State = z.strictObject({
  type: z.enum(['file', 'directory', 'symlink']),
  mode: z.int(),
  sha256: z.string(),
  owner: z.strictObject({ uid: z.int(), gid: z.int() }).exactOptional(),
  mtimeNs: z.string().exactOptional(),
});
const Content = z.strictObject({
  /** the context's directory, by path and by what the kernel knows it as */
  context: z.strictObject({ path: z.string(), identity: z.string() }),
  transitions: z.array(z.strictObject({ path: z.string(), from: State.nullable(), to: State.nullable(), isOptional: z.literal(true).exactOptional() })),
});

export interface JournalContent {
  readonly context: { readonly path: string; readonly identity: string };
  /** in the order of their paths */
  readonly transitions: readonly Transition[];
}

/** Which contents: those of before, or those that take their place. */
export type Side = 'old' | 'new';

const [LOCK, LIST, DONE] = ['lock', 'journal.json', 'done'];
const ID = /^[0-9a-z]{16}$/;
/** most that are kept after they were done */
const MOST_KEPT = 16;

export class Journal {
  readonly id: string;
  readonly #directory: string;
  #lock: Fd | null;

  private constructor(id: string, directory: string, lock: Fd) {
    this.id = id;
    this.#directory = directory;
    this.#lock = lock;
  }

  /** A new one. `id`: 16 letters and digits that no other has. */
  static create(undoDirectory: string, id: string): Journal {
    const directory = join(undoDirectory, id);
    mkdirSync(undoDirectory, { recursive: true, mode: 0o700 });
    mkdirSync(directory, { mode: 0o700 });
    const lock = tryLock(join(directory, LOCK));
    if (lock === null) throw new Error('a new journal is locked by another');
    for (const side of ['old', 'new']) mkdirSync(join(directory, side), { mode: 0o700 });
    return new Journal(id, directory, lock);
  }

  /** One that is there; null when it is not, or is being worked on. */
  static open(undoDirectory: string, id: string): Journal | null {
    if (!ID.test(id)) return null;
    const directory = join(undoDirectory, id);
    const lock = names(undoDirectory).includes(id) ? tryLock(join(directory, LOCK)) : null;
    return lock === null ? null : new Journal(id, directory, lock);
  }

  /** The ids of all, the oldest first. */
  static list(undoDirectory: string): readonly string[] {
    return names(undoDirectory)
      .filter((name) => ID.test(name))
      .toSorted();
  }

  /** whether all that it lists has been done */
  get isDone(): boolean {
    return names(this.#directory).includes(DONE);
  }

  /** whether its list is on disk, so that what it lists may have been done */
  get isWritten(): boolean {
    return names(this.#directory).includes(LIST);
  }

  /** What it lists; null before it was written whole, when nothing had been changed. */
  read(): JournalContent | null {
    return this.isWritten ? Content.parse(JSON.parse(readFileSync(join(this.#directory, LIST), 'utf8'))) : null;
  }

  write(content: JournalContent): void {
    const place = join(this.#directory, LIST);
    writeFileSync(`${place}.new`, JSON.stringify(content), { mode: 0o600 });
    sync(`${place}.new`);
    renameSync(`${place}.new`, place);
    sync(this.#directory);
  }

  /** Everything is done: what took the place of the old contents is not needed any more. */
  finish(): void {
    writeFileSync(join(this.#directory, DONE), '', { mode: 0o600 });
    sync(this.#directory);
    rmSync(join(this.#directory, 'new'), { recursive: true, force: true });
  }

  /** Not done any more: whoever comes next takes it back. */
  reopen(): void {
    rmSync(join(this.#directory, DONE), { force: true });
    sync(this.#directory);
  }

  /** Makes the file for a content. */
  create(side: Side, index: number): Fd {
    return openSync(join(this.#directory, side, String(index)), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  }

  open(side: Side, index: number): Fd {
    return openSync(join(this.#directory, side, String(index)), O_RDONLY | O_NOFOLLOW);
  }

  /** Lets it go. */
  close(): void {
    if (this.#lock !== null) closeSync(this.#lock);
    this.#lock = null;
  }

  /** Removes it; it is closed then. */
  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    this.close();
  }
}

/** Removes the oldest, beyond as many as are kept. */
export const forgetOld = (undoDirectory: string): void => {
  for (const id of Journal.list(undoDirectory).slice(0, -MOST_KEPT)) {
    const journal = Journal.open(undoDirectory, id);
    if (journal?.isDone) journal.remove();
    else journal?.close();
  }
};

const names = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const sync = (path: string): void => withFd(openSync(path, 'r'), fsyncSync);
