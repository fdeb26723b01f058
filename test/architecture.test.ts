import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findCycle, importsOf, longestChain, ROOT, sourcesIn, type Import } from './imports.ts';

/** Who may import whom, by room: a folder, or a file. A room missing on the right is off limits. Everyone may import what is in COMMON. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'src/main.ts': ['src/cli', 'src/syscall'],
  'src/cli': [
    'src/config.ts',
    'src/server',
    'src/session',
    'src/workspace',
    'src/policy',
    'src/oci',
    'src/runtime/runtime.ts',
    'src/runtime/select.ts',
    'src/cgroup',
    'tools',
  ],
  'src/server': ['src/tool.ts'],
  'src/tool.ts': [],
  'src/protocol.ts': [],
  tools: ['src/tool.ts', 'src/session'],
  'src/session': ['src/workspace', 'src/policy', 'src/oci', 'src/runtime/runtime.ts', 'src/runtime/select.ts', 'src/cgroup', 'src/syscall'],
  'src/workspace': ['src/syscall'],
  'src/policy': [],
  'src/oci': ['src/policy'],
  'src/runtime/runtime.ts': ['src/oci', 'src/policy'],
  'src/runtime/select.ts': ['src/oci', 'src/policy', 'src/runtime/runtime.ts', 'src/runtime/gvisor', 'src/runtime/native'],
  'src/runtime/gvisor': ['src/runtime/runtime.ts', 'src/oci', 'src/cgroup', 'src/syscall'],
  'src/runtime/native': ['src/runtime/runtime.ts', 'src/oci', 'src/cgroup', 'src/syscall'],
  'src/cgroup': ['src/syscall'],
  'src/syscall': [],
  'src/config.ts': [],
  'src/errors.ts': [],
  'src/issues.ts': [],
  'src/log.ts': [],
};
const COMMON = ['src/errors.ts', 'src/issues.ts', 'src/log.ts'];

/** Single imports that the table leaves out, each with the reason. */
const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly typesOnly: boolean }[] = [
  // A tool's context names the sessions it works on.
  { from: 'src/tool.ts', to: 'src/session', typesOnly: true },
  // What clients of JSON-RPC import has the types of the tools, and loads nothing of the server.
  { from: 'src/protocol.ts', to: 'tools', typesOnly: true },
  { from: 'src/protocol.ts', to: 'src/tool.ts', typesOnly: true },
  // Getting a runtime is a command, and no business of the runtime's door.
  { from: 'src/cli/setup.ts', to: 'src/runtime/gvisor/setup.ts', typesOnly: false },
];

/** Modules that only some places may import. */
const CONFINED: Readonly<Record<string, readonly string[]>> = {
  koffi: ['src/syscall'],
  'node:child_process': ['src/runtime', 'src/cli'],
  '@modelcontextprotocol/client': ['src/cli/demo'],
  '@modelcontextprotocol/server': ['src/server'],
};
/** Rooms that compute: no clock, no file, no randomness. Only these files of theirs import modules of Node. */
const PURE: Readonly<Record<string, readonly string[]>> = { 'src/oci': [], 'src/policy': ['src/policy/load.ts'] };

/** Lines of a file. */
const SIZES = { most: 300, mostOfTool: 80, median: 80, nineTenths: 150 };
/** Files of which each imports the next. */
const LONGEST_CHAIN = 14;

const files = sourcesIn('src', 'tools');
const imports = files.flatMap(importsOf);
const ours = imports.filter(({ to }) => to.endsWith('.ts'));
const roomOf = (file: string): string | undefined => Object.keys(LAYERS).find((room) => isIn(file, room));
const isIn = (file: string, place: string): boolean => file === place || file.startsWith(`${place}/`);
const show = ({ from, to }: Import): string => `${from} imports ${to}`;

describe('layers', () => {
  it('every source lies in a room of the table', () => {
    expect(
      files.filter((file) => roomOf(file) === undefined),
      'a new room needs a line in LAYERS, and in the table of the design',
    ).toEqual([]);
  });

  it('a room imports only the rooms it may', () => {
    const allowed = ({ from, to, isType }: Import): boolean => {
      const [room, target] = [roomOf(from), roomOf(to)];
      if (room === undefined || target === undefined || room === target || COMMON.includes(target)) return true;
      if (LAYERS[room]!.includes(target)) return true;
      return EXCEPTIONS.some((exception) => isIn(from, exception.from) && isIn(to, exception.to) && (isType || !exception.typesOnly));
    };
    const broken = ours
      .filter((one) => !allowed(one))
      .map((one) => `${show(one)}: ${roomOf(one.from)} may import ${[...LAYERS[roomOf(one.from)!]!, ...COMMON].join(', ')}`);
    expect(broken).toEqual([]);
  });

  it('every room that may be imported is in the table', () => {
    const unknown = Object.values(LAYERS).flatMap((targets) => targets.filter((target) => !(target in LAYERS)));
    expect(unknown, 'LAYERS names rooms that it has no line for').toEqual([]);
  });

  it('a runtime is loaded lazily, by select.ts', () => {
    const eager = ours.filter(({ to, isLazy, isType }) => /^src\/runtime\/(\w+)\/\1\.ts$/.test(to) && !isLazy && !isType);
    expect(eager.map(show), 'a runtime that no policy asks for is not loaded').toEqual([]);
  });

  for (const [module, places] of Object.entries(CONFINED)) {
    it(`${module} is imported only below ${places.join(' and ')}`, () => {
      const used = imports.filter(({ to }) => to === module || to.startsWith(`${module}/`));
      const broken = used.filter(({ from }) => !places.some((place) => from.startsWith(place)));
      expect(broken.map(show)).toEqual([]);
    });
  }

  for (const [room, doors] of Object.entries(PURE)) {
    it(`${room} imports nothing of Node${doors.length > 0 ? `, but for ${doors.join(', ')}` : ''}`, () => {
      const broken = imports.filter(({ from, to }) => isIn(from, room) && to.startsWith('node:') && !doors.includes(from));
      expect(broken.map(show), 'this room is pure: what it needs of the outside is given to it').toEqual([]);
    });
  }
});

describe('imports', () => {
  const atRunTime = ours.filter(({ isType }) => !isType);

  it('never lead back to where they began, types aside', () => {
    expect(findCycle(atRunTime), 'two files that need each other are one file, or need a third').toBeNull();
  });

  it(`are no longer chain than ${LONGEST_CHAIN} files`, () => {
    const chain = longestChain(atRunTime.filter(({ isLazy }) => !isLazy));
    expect(chain.length, chain.join(' → ')).toBeLessThanOrEqual(LONGEST_CHAIN);
  });

  it('name files with their ending, and packages that are dependencies', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
    const foreign = imports.filter(({ to }) => !to.endsWith('.ts') && !to.startsWith('node:') && !Object.keys(dependencies).some((name) => isIn(to, name)));
    expect(foreign.map(show)).toEqual([]);
  });
});

describe('sizes', () => {
  const sizeOf = (file: string): number => readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1;
  const larger = (list: readonly string[], most: number): readonly string[] =>
    list.filter((file) => sizeOf(file) > most).map((file) => `${file}: ${sizeOf(file)} lines`);

  it(`no file has more than ${SIZES.most} lines, tests and examples included`, () => {
    expect(larger([...files, ...sourcesIn('test', 'examples')], SIZES.most), 'a file this long has two subjects: give each its own').toEqual([]);
  });

  it(`a tool has at most ${SIZES.mostOfTool}`, () => {
    expect(larger(sourcesIn('tools'), SIZES.mostOfTool), 'a tool is its schemas and about five statements; the rest belongs into src/session').toEqual([]);
  });

  it(`half of all files have at most ${SIZES.median}, nine of ten at most ${SIZES.nineTenths}`, () => {
    const sizes = files.map(sizeOf).toSorted((a, b) => a - b);
    const at = (part: number): number => sizes[Math.ceil(sizes.length * part) - 1]!;
    expect(at(0.5)).toBeLessThanOrEqual(SIZES.median);
    expect(at(0.9), larger(files, SIZES.nineTenths).join(', ')).toBeLessThanOrEqual(SIZES.nineTenths);
  });
});
