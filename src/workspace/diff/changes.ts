/** What has changed in a workspace since it was made: what is there now against what was there at first. */
import { createHash } from 'node:crypto';
import type { Fd } from '../../syscall/files.ts';
import { candidatesIn } from './candidates.ts';
import type { Manifest, ManifestEntry } from '../manifest.ts';
import { splitName, type ByteString } from '../names.ts';
import { sortedByPath } from '../order.ts';
import type { Pace } from '../pace.ts';
import type { Selection } from './selection.ts';
import { lookAt, PIECE_BYTES, type Sight } from './sight.ts';
import type { WorkspaceSource } from '../source.ts';
import { Tree } from '../tree.ts';

export type ChangeKind = 'added' | 'modified' | 'deleted' | 'type_changed' | 'mode_changed';

export interface Change {
  /** relative to the workspace, one character a byte */
  readonly path: ByteString;
  readonly change: ChangeKind;
  readonly before: ManifestEntry | null;
  readonly after: Sight | null;
}

export interface Changes {
  /** in the order of the bytes of their paths */
  readonly changes: readonly Change[];
  /** whether there may be more, at paths too long for the kernel to take them in one piece */
  readonly isCut: boolean;
}

/**
 * Compares a workspace with its base. Files and links are told, and directories that are empty: one that was emptied is not, nor one that got something.
 * `view`: the workspace's directory as a program inside sees it. Throws LIMIT_EXCEEDED, CANCELED and what the kernel says.
 */
export const findChanges = async (view: Fd, source: WorkspaceSource, selection: Selection, pace: Pace): Promise<Changes> => {
  const manifest = await source.base.manifest();
  const tree = new Tree(view);
  try {
    const { paths, isCut } = await candidatesIn(tree, source, manifest, selection, pace);
    const comparison = new Comparison(tree, manifest, pace);
    const changes: Change[] = [];
    for (const path of paths) {
      const change = await comparison.compare(path);
      if (change !== null) changes.push(change);
      if (pace.due()) await pace.rest();
    }
    return { changes: await sortedByPath(changes, pace), isCut };
  } finally {
    tree.close();
  }
};

class Comparison {
  readonly #tree: Tree;
  readonly #manifest: Manifest;
  readonly #pace: Pace;
  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);
  /** directories that were not empty at first; found out when it is asked for */
  #filled: ReadonlySet<ByteString> | null = null;

  constructor(tree: Tree, manifest: Manifest, pace: Pace) {
    this.#tree = tree;
    this.#manifest = manifest;
    this.#pace = pace;
  }

  async compare(path: ByteString): Promise<Change | null> {
    const before = this.#manifest.get(path) ?? null;
    const after = await lookAt(this.#tree, path, this.#buffer, this.#pace);
    const change = await this.#kindOf(path, before, after);
    return change && { path, change, before, after };
  }

  async #kindOf(path: ByteString, before: ManifestEntry | null, after: Sight | null): Promise<ChangeKind | null> {
    if (after === null) return before !== null && (before.type !== 'directory' || (await this.#wasEmpty(path))) ? 'deleted' : null;
    const isTold = (): boolean => after.type !== 'directory' || this.#tree.isEmpty(path);
    if (before === null) return isTold() ? 'added' : null;
    if (before.type !== after.type) return 'type_changed';
    if (before.sha256 !== after.sha256) return 'modified';
    return before.mode !== after.mode && after.type !== 'symlink' && isTold() ? 'mode_changed' : null;
  }

  async #wasEmpty(path: ByteString): Promise<boolean> {
    if (this.#filled === null) {
      const filled = new Set<ByteString>();
      for (const one of this.#manifest.keys()) {
        filled.add(splitName(one).folder);
        if (this.#pace.due()) await this.#pace.rest();
      }
      this.#filled = filled;
    }
    return !this.#filled.has(path);
  }
}

/**
 * SHA-256 over changes, in hex: of each its path, kind, type, mode in octal and SHA-256 of content or link target, of what is deleted those that it had;
 * each field ends with a NUL, which is in none of them.
 */
export const digestOf = async (changes: readonly Change[], pace: Pace): Promise<string> => {
  const digest = createHash('sha256');
  for (const { path, change, before, after } of changes) {
    const { type, mode, sha256 } = (after ?? before)!;
    digest.update(`${[path, change, type, mode.toString(8), sha256].join('\0')}\0`, 'latin1');
    if (pace.due()) await pace.rest();
  }
  return digest.digest('hex');
};
