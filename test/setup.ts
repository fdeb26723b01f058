/** Before all tests: what was built is as new as its sources, and there is a directory that the servers of all tests may reach. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, chmodSync } from 'node:fs';
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
  const root = project.config.root;
  if (isStale(root)) build(root);
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-test-')));
  chmodSync(directory, 0o755);
  project.provide('runDirectory', directory);
  return () => rmSync(directory, { recursive: true, force: true });
};

// `test/run.mjs` has just built. Elsewhere one source that is newer than the entry is enough.
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

const build = (root: string): void => {
  try {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  } catch {
    console.error('`npm run build` failed: tests that need what is built run against what there is');
  }
};
