// Writes the files that are derived from the code; with `--check` says which of them are not what the code says, and fails.
import { readFileSync, writeFileSync } from 'node:fs';
import { profileJsonSchema } from '../dist/src/policy/profile.js';

const GENERATED = { 'policies/schema.json': () => `${JSON.stringify(profileJsonSchema(), null, 2)}\n` };

for (const [path, content] of Object.entries(GENERATED)) {
  const file = new URL(`../${path}`, import.meta.url);
  if (!process.argv.includes('--check')) {
    writeFileSync(file, content());
  } else if (readFileSync(file, 'utf8') !== content()) {
    console.error(`${path} is not what the code says: run \`npm run gen\``);
    process.exitCode = 1;
  }
}
