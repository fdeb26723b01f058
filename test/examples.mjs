// `npm run examples`: runs every examples/<story>/run.ts or run.py; each asserts what its README says. The last line is the sum.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compile, run } from './typescript.mjs';

const EXAMPLES = join(import.meta.dirname, '../examples');
const storiesWith = (program) => readdirSync(EXAMPLES).filter((name) => existsSync(join(EXAMPLES, name, program)));
const inTypeScript = storiesWith('run.ts');
const compiled = compile(inTypeScript.map((story) => join(EXAMPLES, story, 'run.ts')));
const inPython = storiesWith('run.py');
const programs = [
  ...inTypeScript.map((story, index) => [story, process.execPath, compiled[index]]),
  ...inPython.map((story) => [story, 'python3', join(EXAMPLES, story, 'run.py')]),
];

let [passed, failed] = [0, 0];
for (const [story, ...command] of programs) {
  console.log(`example ${story}`);
  if (run(command)) passed += 1;
  else failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
