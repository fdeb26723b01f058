/** Who imports whom, read from the sources: for the test of the layers. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

export interface Import {
  /** path of the importing file, from the root of the checkout */
  readonly from: string;
  /** path of the imported file, or the name of a package or of a module of Node */
  readonly to: string;
  /** whether nothing of it is left in the built code */
  readonly isType: boolean;
  /** whether it is loaded only when it is needed */
  readonly isLazy: boolean;
}

/** The TypeScript files below a directory, by their paths from the root. */
export const sourcesIn = (...directories: readonly string[]): readonly string[] =>
  directories.flatMap((directory) =>
    readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(directory, name)),
  );

// `import … from '…'`, `export … from '…'`, `import '…'`, `import('…')`, also as a type.
const STATEMENT = /^(?:import|export)\s+(?<type>type\s)?(?:[^'"`;]*?\sfrom\s+)?'(?<module>[^']+)'/gm;
const CALL = /(?<type>typeof\s+)?\bimport\('(?<module>[^']+)'\)/g;

/** All imports of a file. */
export const importsOf = (from: string): readonly Import[] => {
  const text = readFileSync(join(ROOT, from), 'utf8');
  return [
    ...[...text.matchAll(STATEMENT)].map(({ groups }) => ({
      from,
      to: resolve(from, groups!['module']!),
      isType: groups!['type'] !== undefined,
      isLazy: false,
    })),
    ...[...text.matchAll(CALL)].map(({ groups }) => ({ from, to: resolve(from, groups!['module']!), isType: groups!['type'] !== undefined, isLazy: true })),
  ];
};

const resolve = (from: string, module: string): string => (module.startsWith('.') ? relative(ROOT, join(ROOT, dirname(from), module)) : module);

/** The files on a way from one file to itself, or null where there is none. */
export const findCycle = (imports: readonly Import[]): readonly string[] | null => {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const { to } of targets(imports, file)) {
      const cycle = walk(to, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return null;
  };
  for (const { from } of imports) {
    const cycle = walk(from, []);
    if (cycle) return cycle;
  }
  return null;
};

/** The longest chain of files of which each imports the next. There must be no cycle. */
export const longestChain = (imports: readonly Import[]): readonly string[] => {
  const longest = new Map<string, readonly string[]>();
  const from = (file: string): readonly string[] => {
    const known = longest.get(file);
    if (known) return known;
    const chain = [file, ...longestOf(targets(imports, file).map(({ to }) => from(to)))];
    longest.set(file, chain);
    return chain;
  };
  return longestOf([...new Set(imports.map((one) => one.from))].map(from));
};

const targets = (imports: readonly Import[], file: string): readonly Import[] => imports.filter((one) => one.from === file && one.to.endsWith('.ts'));

const longestOf = (chains: readonly (readonly string[])[]): readonly string[] =>
  chains.reduce((best, chain) => (chain.length > best.length ? chain : best), []);
