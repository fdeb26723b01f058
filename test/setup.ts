/** Before all tests: a directory that the servers of all tests may reach, and a word when what is built is not what is written. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** a directory of this run, world-searchable, removed at its end */
    readonly runDirectory: string;
  }
}

export const setup = (project: TestProject): (() => void) => {
  if (isStale(project.config.root))
    console.warn('dist is older than the sources: tests that run what is built need `npm run build` first (`npm test` does it)');
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-test-')));
  chmodSync(directory, 0o755);
  project.provide('runDirectory', directory);
  return () => rmSync(directory, { recursive: true, force: true });
};

const isStale = (root: string): boolean => {
  const entry = join(root, 'dist/src/main.js');
  if (!existsSync(entry)) return true;
  const builtAt = statSync(entry).mtimeMs;
  return ['src', 'tools'].some((room) =>
    readdirSync(join(root, room), { recursive: true, withFileTypes: true }).some(
      (found) => found.isFile() && statSync(join(found.parentPath, found.name)).mtimeMs > builtAt,
    ),
  );
};
