/** What is told about a context that was copied. */
export interface ContextCopy {
  /** files and links */
  readonly files: number;
  /** content of the files in `bytes` */
  readonly bytes: number;
  /** equal for trees with equal paths, types, modes and contents, whatever their times; SHA-256 in hex */
  readonly digest: string;
  /** what was left out, the nearest to the top before others, at most 20; names quoted where they need it */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  readonly skippedCount: number;
  readonly warnings: readonly string[];
}
