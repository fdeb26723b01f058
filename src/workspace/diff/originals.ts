/** The files of a workspace as they were at first: from the layers of its base, which are ours and hold still. */
import { closeSync } from 'node:fs';
import { openDirectory, type Fd } from '../../syscall/files.ts';
import { hashOf } from '../hashes.ts';
import type { Base, ManifestEntry } from '../manifest.ts';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { isBinary, PIECE_BYTES } from './sight.ts';
import { Tree } from '../tree.ts';

export class Originals {
  readonly #layers: readonly { readonly fd: Fd; readonly tree: Tree }[];

  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);

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
  async contentOf(path: ByteString, { sha256 }: ManifestEntry, most: number, pace: Pace): Promise<Buffer | null> {
    const content = (await this.#holder(path)?.contentOf(path, most)) ?? null;
    return content !== null && (await hashOf('sha256', [content], pace)) === sha256 ? content : null;
  }

  /** Whether a file was no text, as far as its beginning shows. */
  isBinary(path: ByteString): boolean {
    for (const { tree } of this.#layers) {
      const head = tree.headOf(path, this.#buffer);
      if (head !== null) return isBinary(head);
    }
    return false;
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
