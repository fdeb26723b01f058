/** A state of a snapshot in the making: its layer, what it hides of those below, and the moment in which it is published. */
import { chmodSync, chownSync, closeSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDirectory } from '../../syscall/files.ts';
import { isCopied } from '../context/copy.ts';
import type { Owner } from '../context/filework.ts';
import { Layer } from './layer.ts';
import { splitName, type ByteString } from '../names.ts';
import { Pace } from '../pace.ts';
import { removeTree } from './removal.ts';
import { copySizeOf, isPartKind, KIND_OF, kindOf, ROW_WORDS } from './rows.ts';
import { FILES, TABLE } from './snapshot-state.ts';
import { NEW_PREFIX, newName, type StateFacts } from './store-place.ts';
import { writeTable, type Known, type Table } from './table.ts';

/** what one entry takes on the disk besides its content, about, in `bytes` */
const ENTRY_BYTES = 512;
const BLOCK_BYTES = 4096;

export class Draft {
  readonly layer: Layer;
  readonly owner: Owner;
  readonly #key: string;
  readonly #name = newName(NEW_PREFIX);
  readonly #top: number;

  /** Begins a state of a key that is held. */
  constructor(key: string, owner: Owner, pace: Pace) {
    this.#key = key;
    this.owner = owner;
    mkdirSync(this.#path, { mode: 0o700 });
    mkdirSync(this.files);
    chmodSync(this.files, 0o755);
    if (owner !== null) chownSync(this.files, owner.uid, owner.gid);
    this.#top = openDirectory(this.files);
    this.layer = new Layer(this.#top, owner, pace);
  }

  /** directory of the layer */
  get files(): string {
    return join(this.#path, FILES);
  }

  get #path(): string {
    return join(this.#key, this.#name);
  }

  /**
   * Finishes the state: hides what `under`, the tree of the layers below, has and `next` has not, and publishes it. Returns its id.
   * Nothing of it is there, or all of it, whenever this is interrupted; it is found by who reads `current`, which is not touched.
   */
  async publish(next: Known, under: Known | null, below: readonly string[]): Promise<string> {
    const { table } = next;
    const gone = (under?.table.paths ?? []).filter((path) => isPart(under!, path) && !isPart(next, path) && isFolder(next, splitName(path).folder));
    await this.layer.makeFolders(gone.map((path) => splitName(path).folder));
    await this.layer.hide(gone);
    await this.layer.finish((path) => ({ words: table.words, at: next.find(path) }));
    writeTable(join(this.#path, TABLE), table);
    const facts: StateFacts = { below, bytes: sizeOf(table, under) };
    writeFileSync(join(this.#path, 'state'), JSON.stringify(facts), { mode: 0o600 });
    const id = this.#name.slice(NEW_PREFIX.length);
    renameSync(this.#path, join(this.#key, id));
    return id;
  }

  /** Ends the work; what was made is removed unless it was published, also when nobody waits for it any more. */
  async close(): Promise<void> {
    closeSync(this.#top);
    await removeTree(this.#path, new Pace({ aborted: false }));
  }
}

/** Whether a path is part of what a table comes to. */
export const isPart = (known: Known, path: ByteString): boolean => {
  const at = known.find(path);
  return at >= 0 && isPartKind(kindOf(known.table.words, at));
};

const isFolder = (known: Known, path: ByteString): boolean =>
  path === '' || (isPart(known, path) && kindOf(known.table.words, known.find(path)) === KIND_OF.directory);

// By what its layer holds: everything that is not below.
const sizeOf = ({ paths, words }: Table, under: Known | null): number =>
  paths.reduce((sum, path, row) => {
    const at = row * ROW_WORDS;
    const content = kindOf(words, at) !== KIND_OF.file || isCopied(under, path, words, at) ? 0 : Math.ceil(copySizeOf(words, at) / BLOCK_BYTES) * BLOCK_BYTES;
    return sum + content + path.length + ROW_WORDS * 4 + (content > 0 ? ENTRY_BYTES : 0);
  }, 0);
