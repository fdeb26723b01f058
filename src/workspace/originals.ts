/** The files of a workspace as they were at first: from the layers of its base, which are ours and hold still. */
import { hash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { openDirectory, type Fd } from '../syscall/files.ts';
import type { Base, ManifestEntry } from './manifest.ts';
import type { ByteString } from './names.ts';
import { Tree } from './tree.ts';

export class Originals {
  readonly #layers: readonly { readonly fd: Fd; readonly tree: Tree }[];

  constructor({ layers }: Base) {
    const opened: { fd: Fd; tree: Tree }[] = [];
    this.#layers = opened;
    try {
      for (const layer of layers) {
        const fd = openDirectory(layer);
        opened.push({ fd, tree: new Tree(fd) });
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    for (const { fd, tree } of this.#layers) {
      tree.close();
      closeSync(fd);
    }
  }

  /** The content of a file, or what a link says; null when it is larger than `most` bytes, or a layer does not have what the manifest says. */
  async contentOf(path: ByteString, { sha256 }: ManifestEntry, most: number): Promise<Buffer | null> {
    const content = (await this.#holder(path)?.contentOf(path, most)) ?? null;
    return content !== null && hash('sha256', content) === sha256 ? content : null;
  }

  /** The first bytes of a file, at most so many; null for anything else. */
  headOf(path: ByteString, most: number): Buffer | null {
    return this.#holder(path)?.headOf(path, most) ?? null;
  }

  // The newest layer that has something there: an older one is hidden by it.
  #holder(path: ByteString): Tree | null {
    for (const { tree } of this.#layers) {
      const handle = tree.open(path);
      if (handle === null) continue;
      closeSync(handle);
      return tree;
    }
    return null;
  }
}
