/** What lies outside: a directory of the host that is in no context, and of which nothing may be seen or changed. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../e2e/harness/home.ts';

/** what its files hold */
export const MARKER = 'a secret of the host';

/** Makes it, with files of these names that everybody of the host may read. */
export const makeOutside = (names: readonly string[] = ['marker', 'a/marker', 'a/b/marker']): string =>
  makeDirectory('host', (directory) => {
    mkdirSync(join(directory, 'a/b'), { recursive: true });
    for (const name of names) writeFileSync(join(directory, name), MARKER, { mode: 0o644 });
  });
