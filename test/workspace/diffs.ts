/** Workspaces for tests: a tree as the base, another or the same, changed, as what became of it. */
import { hash } from 'node:crypto';
import { closeSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { openDirectory } from '../../src/syscall/files.ts';
import { diffWorkspace, type DiffInput, type DiffResult } from '../../src/workspace/diff/diff.ts';
import type { Base, ManifestEntry } from '../../src/workspace/manifest.ts';

/** What a manifest says of a tree; names one character a byte. */
export const manifestOf = (path: string, prefix = ''): Map<string, ManifestEntry> => {
  const manifest = new Map<string, ManifestEntry>();
  for (const name of readdirSync(Buffer.from(path, 'latin1'), 'latin1').sort()) {
    const place = Buffer.from(`${path}/${name}`, 'latin1');
    const stats = lstatSync(place, { bigint: true });
    const [type, content] = stats.isDirectory()
      ? (['directory', Buffer.alloc(0)] as const)
      : stats.isSymbolicLink()
        ? (['symlink', readlinkSync(place, 'buffer')] as const)
        : (['file', readFileSync(place)] as const);
    manifest.set(prefix + name, { type, mode: Number(stats.mode) & 0o1777, mtimeNs: stats.mtimeNs, size: content.length, sha256: hash('sha256', content) });
    if (type === 'directory') for (const [below, entry] of manifestOf(`${path}/${name}`, `${prefix}${name}/`)) manifest.set(below, entry);
  }
  return manifest;
};

/** A base of one layer: the tree itself, which must hold still from now on. */
export const baseOf = (path: string): Base => {
  const manifest = manifestOf(path);
  return { layers: [path], manifest: async () => manifest };
};

type Options = { signal?: AbortSignal; timeLimitMs?: number; contextPath?: string };

/** What sandbox_diff says of a directory that began as the base. */
export const diffPlain = async (base: Base, path: string, input: DiffInput = {}, { contextPath, ...options }: Options = {}): Promise<DiffResult> => {
  const root = openDirectory(path);
  try {
    return await diffWorkspace(root, { kind: 'plain', root, base }, input, {
      contextPath: contextPath ?? null,
      signal: new AbortController().signal,
      ...options,
    });
  } finally {
    closeSync(root);
  }
};

/** Changes by path. */
export const byPath = ({ changes }: DiffResult): Record<string, string> => Object.fromEntries(changes.map(({ path, change }) => [path, change]));
