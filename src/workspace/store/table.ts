/** All rows of a snapshot with their paths, as one file: its manifest, and what tells at the next look which entries have not changed. */
import { createHash, hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hasCode } from '../../syscall/call.ts';
import type { Manifest, ManifestEntry } from '../manifest.ts';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { isPartKind, kindOf, manifestEntryOf, ROW_WORDS } from './rows.ts';

/** What a table says about all of its rows together. */
export interface TableHead {
  /** canonical path of the context on the host, a byte string */
  readonly context: ByteString;
  /** the boot of the machine in which it was last seen to be whole */
  readonly boot: string;
  /** files and links */
  readonly files: number;
  /** content of the files in `bytes` */
  readonly bytes: number;
  /** over types, modes, contents and paths of all entries; SHA-256 in hex */
  readonly digest: string;
  /** SHA-256 over what was left out and why */
  readonly leftOut: string;
  /** what is told about tracked files that were left out */
  readonly tracked: readonly string[];
}

/** Rows in the order of a scan: each directory before what it holds, names in the order of their bytes. */
export interface Table {
  readonly head: TableHead;
  readonly paths: readonly ByteString[];
  /** one row a path */
  readonly words: Uint32Array;
}

/** Raised with every change to what the file looks like. */
const MAGIC = 'cellwall table 1';
const CHECKSUM_BYTES = 32;
const PREFIX_BYTES = CHECKSUM_BYTES + MAGIC.length + 8;

/** Writes a table into a new file. */
export const writeTable = (path: string, { head, paths, words }: Table): void => {
  const headBytes = Buffer.from(JSON.stringify(head));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.write(MAGIC, CHECKSUM_BYTES, 'latin1');
  prefix.writeUInt32LE(headBytes.length, PREFIX_BYTES - 8);
  prefix.writeUInt32LE(paths.length, PREFIX_BYTES - 4);
  const file = Buffer.concat([prefix, headBytes, Buffer.from(words.buffer, words.byteOffset, words.byteLength), Buffer.from(paths.join('\0'), 'latin1')]);
  createHash('sha256').update(file.subarray(CHECKSUM_BYTES)).digest().copy(file);
  writeFileSync(path, file, { flag: 'wx', mode: 0o600 });
};

/** Reads a table; null for a file that is missing, damaged or of another version. */
export const readTable = (path: string): Table | null => {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES')) return null;
    throw error;
  }
  const isWhole = file.length >= PREFIX_BYTES && file.toString('latin1', 0, CHECKSUM_BYTES) === hash('sha256', file.subarray(CHECKSUM_BYTES), 'binary');
  if (!isWhole || file.toString('latin1', CHECKSUM_BYTES, PREFIX_BYTES - 8) !== MAGIC) return null;
  const { head, words, pathsAt, count } = partsOf(file);
  return { head, words, paths: count === 0 ? [] : file.toString('latin1', pathsAt).split('\0') };
};

const partsOf = (file: Buffer): { head: TableHead; words: Uint32Array; pathsAt: number; count: number } => {
  const rowsAt = PREFIX_BYTES + file.readUInt32LE(PREFIX_BYTES - 8);
  const count = file.readUInt32LE(PREFIX_BYTES - 4);
  const pathsAt = rowsAt + count * ROW_WORDS * 4;
  const head = JSON.parse(file.toString('utf8', PREFIX_BYTES, rowsAt)) as TableHead;
  // A copy, because a Buffer may begin anywhere.
  return { head, words: new Uint32Array(file.buffer.slice(file.byteOffset + rowsAt, file.byteOffset + pathsAt) as ArrayBuffer), pathsAt, count };
};

/** how many bytes of paths are taken apart in one go */
const PATHS_AT_ONCE = 32_768;

/**
 * Reads the manifest of a table without keeping the event loop to itself; an entry is made when it is asked for. Throws errors of reading; the file was
 * written by us and is held.
 */
export const readManifest = async (path: string, pace: Pace): Promise<Manifest> => {
  const file = await readFile(path);
  const { words, pathsAt } = partsOf(file);
  const places = new Map<ByteString, number>();
  let place = 0;
  for (let at = pathsAt; at < file.length;) {
    const nul = file.indexOf(0, at + PATHS_AT_ONCE);
    const end = nul < 0 ? file.length : nul;
    for (const name of file.toString('latin1', at, end).split('\0')) {
      if (isPartKind(kindOf(words, place))) places.set(name, place);
      place += ROW_WORDS;
    }
    at = end + 1;
    if (pace.due()) await pace.rest();
  }
  const get = (name: ByteString): ManifestEntry | undefined => {
    const found = places.get(name);
    return found === undefined ? undefined : (manifestEntryOf(words, found) ?? undefined);
  };
  return { get, keys: () => places.keys() };
};

/** Rows of a table by their paths. */
export class Known {
  readonly table: Table;
  readonly #places: ReadonlyMap<ByteString, number>;

  constructor(table: Table, places: ReadonlyMap<ByteString, number> = new Map(table.paths.map((path, index) => [path, index * ROW_WORDS]))) {
    this.table = table;
    this.#places = places;
  }

  /** Offset of the row of a path in the table's words; -1 for none. */
  find(path: ByteString): number {
    return this.#places.get(path) ?? -1;
  }

  /** The same rows under another head. */
  withHead(head: TableHead): Known {
    return new Known({ ...this.table, head }, this.#places);
  }
}
