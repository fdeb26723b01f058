/** What a snapshot of a context consists of, entry by entry: the ground that changes are told from. */
import { hash } from 'node:crypto';
import type { ByteString } from './names.ts';

/** permission bits that a context's copy has and that are compared: not setuid and setgid */
export const MODE_BITS = 0o1777;
/** what stands for the content of a directory */
export const SHA256_OF_NOTHING = hash('sha256', '');

export type EntryType = 'file' | 'directory' | 'symlink';

export interface ManifestEntry {
  readonly type: EntryType;
  /** permission bits, without setuid and setgid */
  readonly mode: number;
  readonly mtimeNs: bigint;
  /** of a file in `bytes`, of a link the length of its target */
  readonly size: number;
  /** SHA-256 in hex: of a file's content, of a link's target, of nothing for a directory */
  readonly sha256: string;
}

/** Entries by their path below the context's directory, which is not among them; a directory comes before what it holds. */
export type Manifest = Pick<ReadonlyMap<ByteString, ManifestEntry>, 'get' | 'keys'>;

/** What a workspace began as: layers of files, the newest first, as overlayfs reads them, and the list of what they come to. */
export interface Base {
  /** host directories, each with the entries that it adds or replaces, and whiteouts (a character device 0:0) for those that it removes */
  readonly layers: readonly string[];
  /** read when it is asked for; good as long as the workspace is there */
  manifest(): Promise<Manifest>;
}

/** An empty workspace. */
export const NOTHING: Base = { layers: [], manifest: () => Promise.resolve(new Map()) };
