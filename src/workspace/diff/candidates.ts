/** Which paths of a workspace may have changed: of an overlay those that its own layer tells of, of a plain copy all. */
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { attributesOf, type Fd } from '../../syscall/files.ts';
import type { Manifest } from '../manifest.ts';
import { joinName, MAX_PATH_BYTES, splitName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import type { Selection } from './selection.ts';
import type { WorkspaceSource } from '../source.ts';
import { Tree } from '../tree.ts';

export interface Candidates {
  readonly paths: ReadonlySet<ByteString>;
  /** whether there is more, at paths too long for the kernel to take them in one piece */
  readonly isCut: boolean;
}

/** most paths that are compared: a workspace may hold about half a million files, and its context had fewer */
const MOST_PATHS = 1_000_000;

/** Finds them. `view`: the workspace as a program inside sees it. Throws LIMIT_EXCEEDED for more than a million. */
export const candidatesIn = async (view: Tree, source: WorkspaceSource, manifest: Manifest, selection: Selection, pace: Pace): Promise<Candidates> => {
  const search = new Search(manifest, selection, pace);
  if (source.kind === 'overlay') await search.readLayer(new Tree(source.upper));
  else search.whole.add('');
  for (const folder of search.whole) await search.readBelow(view, folder);
  if (search.whole.size > 0) await search.readManifest();
  return search;
};

class Search implements Candidates {
  readonly paths = new Set<ByteString>();
  /** places of which everything is compared, then and now */
  readonly whole = new Set<ByteString>();
  isCut = false;
  readonly #manifest: Manifest;
  readonly #selection: Selection;
  readonly #pace: Pace;

  constructor(manifest: Manifest, selection: Selection, pace: Pace) {
    this.#manifest = manifest;
    this.#selection = selection;
    this.#pace = pace;
  }

  // What the layer holds takes the place of what is below it: an entry of its own, a whiteout, a directory that hides or renames one (OVERWRITTEN).
  async readLayer(layer: Tree): Promise<void> {
    const isRead = (folder: ByteString, directory: Fd): boolean => this.#isMerged(folder, directory);
    await this.#walk(layer, '', isRead, (path, isFolder) => {
      if (!isFolder && this.#manifest.get(path)?.type === 'directory') this.whole.add(path);
    });
  }

  /** Adds a place and all that is below it now. */
  async readBelow(view: Tree, top: ByteString): Promise<void> {
    if (top !== '') this.#add(top);
    await this.#walk(
      view,
      top,
      () => true,
      () => {},
    );
  }

  // Adds what lies below a directory of a tree, as far as the selection reaches.
  async #walk(
    tree: Tree,
    top: ByteString,
    isRead: (folder: ByteString, directory: Fd) => boolean,
    visit: (path: ByteString, isFolder: boolean) => void,
  ): Promise<void> {
    const pending = [top];
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      const here = folder;
      for (const entry of tree.list(here, (directory) => isRead(here, directory))) {
        if (this.#pace.due()) await this.#pace.rest();
        const path = joinName(here, entry.name);
        if (!this.#mayHold(path)) continue;
        this.#add(path);
        if (entry.isDirectory()) pending.push(path);
        visit(path, entry.isDirectory());
      }
    }
  }

  // A directory comes before what it holds in a manifest, so that one look at the directory of each entry is enough.
  async readManifest(): Promise<void> {
    const inside = new Set<ByteString>(this.whole);
    for (const path of this.#manifest.keys()) {
      if (this.#pace.due()) await this.#pace.rest();
      if (!inside.has(splitName(path).folder)) continue;
      if (this.#manifest.get(path)?.type === 'directory') inside.add(path);
      this.#add(path);
    }
  }

  // Whether what a directory of the layer holds is seen together with what is below it; else all of it is compared.
  #isMerged(folder: ByteString, directory: Fd): boolean {
    if (folder === '' || !isRemade(directory)) return true;
    this.whole.add(folder);
    return false;
  }

  #mayHold(path: ByteString): boolean {
    if (path.length > MAX_PATH_BYTES) this.isCut = true;
    return path.length <= MAX_PATH_BYTES && this.#selection.reaches(path);
  }

  #add(path: ByteString): void {
    if (this.#selection.holds(path)) this.paths.add(path);
    if (this.paths.size > MOST_PATHS) throw tooMany();
  }
}

/** Set by overlayfs on a directory of a layer that hides or renames one of a layer below: by root, and by a user in a namespace of his own. */
const OVERWRITTEN = ['trusted.overlay.opaque', 'trusted.overlay.redirect', 'user.overlay.opaque', 'user.overlay.redirect'];

// A program may set a user's attributes itself, and more than can be listed; then more is compared than needs to be.
const isRemade = (directory: Fd): boolean => {
  try {
    return attributesOf(directory).some((name) => OVERWRITTEN.includes(name));
  } catch (error) {
    if (hasCode(error, 'E2BIG', 'ERANGE')) return true;
    if (hasCode(error, 'ENOTSUP', 'EOPNOTSUPP')) return false;
    throw error;
  }
};

const tooMany = (): SandboxError =>
  new SandboxError('LIMIT_EXCEEDED', `the workspace is not compared: more than ${MOST_PATHS} paths may have changed`, {
    hint: 'name directories with `paths`',
  });
