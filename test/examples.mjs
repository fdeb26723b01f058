// `npm run examples`: runs every examples/<story>/run.ts; each asserts what its README says. The last line is the sum.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compile, run } from './typescript.mjs';

const EXAMPLES = join(import.meta.dirname, '../examples');
const stories = readdirSync(EXAMPLES).filter((name) => existsSync(join(EXAMPLES, name, 'run.ts')));
const programs = stories.length > 0 ? compile(stories.map((story) => join(EXAMPLES, story, 'run.ts'))) : [];

let [passed, failed] = [0, 0];
for (const [index, story] of stories.entries()) {
  console.log(`example ${story}`);
  if (run(programs[index])) passed += 1;
  else failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
