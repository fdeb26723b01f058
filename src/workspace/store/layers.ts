/** Layers of a snapshot as the one tree that they come to, and its entries brought elsewhere. The layers are ours and hold still. */
import { hash } from 'node:crypto';
import { closeSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { openDirectory, pathOf, type Fd } from '../../syscall/files.ts';
import type { Entry } from '../context/entry.ts';
import type { Owner } from '../context/filework.ts';
import { laneOf } from '../context/lane.ts';
import { Lanes, type Progress } from '../context/lanes.ts';
import type { Layer } from './layer.ts';
import { bytesBelow, joinName, splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { KIND_OF, kindOf, modeOf, mtimeNsOf, ROW_WORDS, Rows, sameCopy, sha256Of } from './rows.ts';

/** Directories of layers, open, the uppermost first; and for each path which of them has it. */
export interface OpenLayers {
  readonly tops: readonly Fd[];
  /** index into `tops` */
  readonly view: ReadonlyMap<ByteString, number>;
  close(): void;
}

/** Opens layers and reads them as overlayfs does: what lies in an upper one hides what has its name below, unless both are directories. */
export const openLayers = async (layers: readonly string[], pace: Pace): Promise<OpenLayers> => {
  const tops: Fd[] = [];
  const close = (): void => tops.forEach((fd) => closeSync(fd));
  try {
    for (const layer of layers) tops.push(openDirectory(layer));
    const view = new Map<ByteString, number>();
    await readMerged('', [...tops.keys()], tops, view, pace);
    return { tops, view, close };
  } catch (error) {
    close();
    throw error;
  }
};

// One directory of the tree: `where` lists the layers that have it, the uppermost first.
const readMerged = async (folder: ByteString, where: readonly number[], tops: readonly Fd[], view: Map<ByteString, number>, pace: Pace): Promise<void> => {
  /** layers of each name; a directory takes more of them in until something else of its name comes */
  const names = new Map<ByteString, { layers: number[]; isFolder: boolean; isOpen: boolean; isHidden: boolean }>();
  for (const layer of where) {
    const path = folder === '' ? pathOf(tops[layer]!) : bytesBelow(tops[layer]!, folder);
    for (const item of readdirSync(path, { withFileTypes: true, encoding: 'latin1' })) {
      const isFolder = item.isDirectory();
      const seen = names.get(item.name);
      if (seen === undefined) names.set(item.name, { layers: [layer], isFolder, isOpen: isFolder, isHidden: item.isCharacterDevice() });
      else if (seen.isOpen && isFolder) seen.layers.push(layer);
      else seen.isOpen = false;
    }
  }
  if (pace.due()) await pace.rest();
  for (const [name, { layers, isFolder, isHidden }] of names) {
    if (isHidden) continue;
    const path = joinName(folder, name);
    view.set(path, layers[0]!);
    if (isFolder) await readMerged(path, layers, tops, view, pace);
  }
};

/** Rows of entries that the layers have, with their paths. */
export interface LayerRows {
  readonly paths: readonly ByteString[];
  readonly words: Uint32Array;
}

export interface CopyLayersOptions {
  readonly owner: Owner;
  readonly pace: Pace;
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Copies entries of the layers into another one, which has to be finished by the caller; null: they are only read. Returns whether all were there and
 * were what their rows say: kind, mode, modification time and content. Throws CANCELED and the errors of writing as they are.
 */
export const copyLayers = async (layers: OpenLayers, wanted: LayerRows, to: Layer | null, options: CopyLayersOptions): Promise<boolean> => {
  const rows = new Rows();
  const sources = layers.tops.map((fd) => ({ fd, place: '', holds: () => true }));
  const entries = wanted.paths.flatMap((path, index): Entry[] => {
    const layer = layers.view.get(path);
    if (layer === undefined) return [];
    const at = rows.add();
    rows.words.set(wanted.words.subarray(index * ROW_WORDS, (index + 1) * ROW_WORDS), at);
    const type = kindOf(rows.words, at) === KIND_OF.directory ? 'directory' : kindOf(rows.words, at) === KIND_OF.symlink ? 'link' : 'file';
    return [{ path, type, source: sources[layer]!, at, target: '', isSame: false }];
  });
  const expected = rows.words.slice();
  const folders = entries.filter(({ type }) => type === 'directory');
  const links = entries.filter(({ type }) => type === 'link').map((entry) => ({ ...entry, target: targetOf(entry), words: expected }));
  const files = entries.filter(({ type }) => type === 'file');
  const isWhole = folders.every((entry) => isFolder(entry, expected)) && links.every((link) => isLink(link, link.target, expected));
  if (!isWhole || entries.length < wanted.paths.length) return false;
  await to?.makeFolders([...folders.map(({ path }) => path), ...[...files, ...links].map(({ path }) => splitName(path).folder)]);
  await new Lanes(laneOf, { rules: null, ...options }).bring(files, { rows, to: to?.top ?? null, known: null, maxBytes: Infinity });
  await to?.makeLinks(links);
  return files.every(({ at }) => sameCopy(rows.words, at, expected, at));
};

// Empty for what is no link: a link never says nothing.
const targetOf = ({ path, source }: Entry): ByteString => {
  try {
    return readlinkSync(bytesBelow(source.fd, path), 'latin1');
  } catch {
    return '';
  }
};

const isFolder = ({ path, source, at }: Entry, words: Uint32Array): boolean => {
  const stats = lstatSync(bytesBelow(source.fd, path), { bigint: true });
  return stats.isDirectory() && (Number(stats.mode) & 0o7777) === modeOf(words, at) && stats.mtimeNs === mtimeNsOf(words, at);
};

const isLink = ({ path, source, at }: Entry, target: ByteString, words: Uint32Array): boolean =>
  hash('sha256', Buffer.from(target, 'latin1')) === sha256Of(words, at) &&
  lstatSync(bytesBelow(source.fd, path), { bigint: true }).mtimeNs === mtimeNsOf(words, at);
