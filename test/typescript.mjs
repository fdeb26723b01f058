// Runs programs written in TypeScript that are no part of the build: benchmarks and examples. Node 20 cannot load them as they are.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(import.meta.dirname, '..');
// Below node_modules, so that packages are found from there.
const OUT = join(ROOT, 'node_modules/.cache/cellwall-typescript');

/** Compiles files and returns the paths of what they became. Types are `npm run check`'s matter. */
export const compile = (files) => {
  mkdirSync(OUT, { recursive: true });
  const config = join(OUT, 'tsconfig.json');
  const compilerOptions = { noCheck: true, declaration: false, rootDir: ROOT, outDir: OUT };
  writeFileSync(config, JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: [], files }));
  writeFileSync(join(OUT, 'package.json'), '{"type":"module"}');
  placePackage();
  const { status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', config], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`tsc exited with ${status}`);
  return files.map((file) => join(OUT, relative(ROOT, file)).replace(/\.ts$/, '.js'));
};

// They import `cellwall/protocol` as somebody does who has installed it.
const placePackage = () => {
  const place = join(OUT, 'node_modules/cellwall');
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"type":"module","exports":{"./protocol":"./protocol.js"}}');
  writeFileSync(join(place, 'protocol.js'), `export * from ${JSON.stringify(join(ROOT, 'dist/src/protocol.js'))};\n`);
};

/** Runs a program to its end; true when it exits with 0. */
export const run = ([program, ...args]) => spawnSync(program, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, ...args] = process.argv.slice(2);
  process.exitCode = run([process.execPath, ...compile([join(ROOT, file)]), ...args]) ? 0 : 1;
}
