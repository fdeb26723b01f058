/** Ordinary work in a copy of a project: git, make, Python, npm, as people and agents do it every day. The projects are made on the host. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { give, itWith } from '../requirements.ts';
import { trees } from '../workspace/treechanges.ts';
import { makeTree, readTree, stamp, type Tree } from '../workspace/trees.ts';
import { createBox, destroyAll, type Box } from './harness/box.ts';
import { makeDirectory } from './harness/home.ts';
import { mode, user } from './harness/mode.ts';
import { shareServer } from './harness/server.ts';
import { sections, sharePolicies } from './harness/trusted.ts';

let top: string;
beforeAll(() => {
  top = makeDirectory('projects');
});
const policies = sharePolicies({ plain: sections({ workspace: { layout: 'plain' } }) });
const server = shareServer(() => ({ args: ['--allow-root', top, '--policies', policies()] }));
afterEach(() => destroyAll(server()));

/** A sandbox of a new project. */
const open = async (make: (project: string) => void | Promise<void>): Promise<Box & { readonly project: string }> => {
  const project = join(top, String(++projects));
  mkdirSync(project);
  await make(project);
  execFileSync('chown', ['-Rh', `${user.uid}:${user.gid}`, project]);
  return { ...(await createBox(server(), { context: project })), project };
};
let projects = 0;

const ME = ['-c', 'user.name=Me', '-c', 'user.email=me@example.com'];
const gitOf =
  (cwd: string) =>
  (...args: readonly string[]): string =>
    execFileSync('git', [...ME, '-c', 'safe.directory=*', ...args], {
      cwd,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: cwd, GIT_CONFIG_NOSYSTEM: '1' },
    });
/** the same inside */
const git = `git ${ME.join(' ')}`;

const SOURCES: Tree = { src: { 'main.c': 'int main;\n', 'more.c': 'int more;\n', deep: { 'x.c': 'int x;\n' } }, '.gitignore': 'out/\n', README: 'first\n' };

/** A project with a history and two branches. */
const makeRepository = (project: string): void => {
  makeTree(SOURCES, project);
  const run = gitOf(project);
  run('init', '-q', '-b', 'main');
  run('add', '.');
  run('commit', '-qm', 'first');
  run('checkout', '-qb', 'other');
  writeFileSync(join(project, 'README'), 'other\n');
  run('commit', '-qam', 'other');
  run('checkout', '-q', 'main');
};

const IN_SRC = 'deep\nmain.c\nmore.c\n';

const changes = async ({ id }: Box): Promise<Record<string, string>> => {
  const found = (await server().call('sandbox_diff', { sandbox_id: id }))['changes'] as { path: string; change: string }[];
  return Object.fromEntries(found.map(({ path, change }) => [path, change]));
};

describe(`work in a copy of a project, as ${mode}`, () => {
  itWith(['git'], 'git finds it clean, and takes changes, moves of files, commits, branches and what undoes them', async () => {
    const box = await open(makeRepository);
    expect(await box.run('git status --porcelain; git log --format=%s --all | sort')).toBe('first\nother\n');
    await box.run("git mv src/more.c src/deep/less.c; echo 'int changed;' >> src/main.c");
    expect(await box.run('git status --porcelain')).toBe('R  src/more.c -> src/deep/less.c\n M src/main.c\n');
    expect(await changes(box)).toEqual({ 'src/main.c': 'modified', 'src/more.c': 'deleted', 'src/deep/less.c': 'added' });
    await box.run(`${git} commit -qam second; ${git} switch -q other`);
    expect(await box.run('cat README; ls src; git status --porcelain')).toBe('other\ndeep\nmain.c\nmore.c\n');
    expect(await changes(box)).toEqual({ README: 'modified' });
    await box.run(`${git} checkout -q main; ${git} merge -q -m merged other; echo x > README; ${git} stash -q; ${git} rebase -q HEAD~1; ${git} stash drop -q`);
    await box.run('rm -rf src; git checkout -q .; git clean -qfdx; git gc -q; git worktree add -q /tmp/tree other');
    expect(await box.run('git status --porcelain; cat README src/main.c /tmp/tree/README; git fsck --no-dangling 2> /dev/null')).toBe(
      'other\nint main;\nint changed;\nother\n',
    );
    expect(gitOf(box.project)('status', '--porcelain'), 'on the host').toBe('');
  });

  itWith(
    ['git'],
    'a directory that comes from the context is moved by mv, and by git where the kernel renames it or the workspace is a plain copy',
    async () => {
      const box = await open(makeRepository);
      await box.run('mv src/deep src/flat; mv src lib; git add -A');
      expect(await box.run('git status --porcelain')).toBe('R  src/deep/x.c -> lib/flat/x.c\nR  src/main.c -> lib/main.c\nR  src/more.c -> lib/more.c\n');
      await box.run('git mv lib again; mkdir made; touch made/file; git add made; git mv made moved');
      const other = await open(makeRepository);
      const moved = await other.exec('git mv src lib && ls lib');
      const said = (other.created['warnings'] as string[]).filter((text) => text.includes('git mv'));
      if (mode === 'root') expect([moved.stdout, said]).toEqual([IN_SRC, []]);
      else expect([moved.stderr, said]).toEqual([expect.stringContaining('Invalid cross-device link'), [expect.stringContaining('workspace.layout')]]);
      const plain = await createBox(server(), { context: other.project, policy: 'plain' });
      expect(await plain.run('git mv src lib; ls lib')).toBe(IN_SRC);
      expect((await changes(plain))['lib/deep/x.c']).toBe('added');
    },
  );

  itWith(['make'], 'make builds nothing of what is built, and anew what has changed', async () => {
    const box = await open((project) => {
      const rules = 'out/program: out/main.o\n\tcp $< $@\nout/main.o: src/main.c\n\tcp $< $@\n';
      makeTree({ ...SOURCES, Makefile: rules, out: { 'main.o': 'int main;\n', program: 'int main;\n' } }, project);
      // Each as much newer as the next that the clocks of file systems tell apart, and all of them old.
      for (const [index, path] of ['src/main.c', 'out/main.o', 'out/program'].entries())
        utimesSync(join(project, path), 1_500_000_000 + index / 1000, 1_500_000_000 + index / 1000);
    });
    expect(await box.run('make')).toBe("make: 'out/program' is up to date.\n");
    await server().call('sandbox_write', { sandbox_id: box.id, path: 'src/main.c', content: 'int other;\n' });
    expect(await box.run('make; cat out/program; make')).toBe(
      "cp src/main.c out/main.o\ncp out/main.o out/program\nint other;\nmake: 'out/program' is up to date.\n",
    );
  });

  it('cargo builds nothing of what is built', async ({ skip }) => {
    if (!existsSync('/usr/bin/cargo')) skip('no cargo below /usr: one of rustup’s is seen inside only where a policy names it as a toolchain');
    const box = await open((project) => {
      makeTree({ src: { 'main.rs': 'fn main() {}\n' }, 'Cargo.toml': '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\n' }, project);
      execFileSync('/usr/bin/cargo', ['build', '--offline', '-q'], { cwd: project });
    });
    expect((await box.exec('cargo build --offline')).stderr).not.toContain('Compiling');
  });

  it('what the host has written a program goes on writing, renames and removes; the diff tells what came of it', async () => {
    const box = await open((project) => void makeTree({ ...SOURCES, notes: '1\n2\n3\n' }, project));
    const write = (path: string, content: string) => server().call('sandbox_write', { sandbox_id: box.id, path, content });
    await write('README', 'by the host\n');
    await write('made/deep/new', 'by the host\n');
    await box.run('echo inside >> README; echo inside >> made/deep/new; mv made/deep/new made/moved; touch made/deep/more; chmod 600 README');
    expect(await box.run('cat README made/moved; rm -r made/deep; ls made')).toBe('by the host\ninside\nby the host\ninside\nmoved\n');
    await write('made/moved', 'again\n');
    expect(await box.run("stat -c '%a %U:%G' README made/moved; cat made/moved")).toBe('600 agent:agent\n644 agent:agent\nagain\n');
    await box.run('mv notes notes.old; echo 4 >> notes.old');
    const { patch } = await server().call('sandbox_diff', { sandbox_id: box.id, format: 'patch', paths: ['notes', 'notes.old'] });
    expect(await changes(box)).toEqual({ README: 'modified', 'made/moved': 'added', notes: 'deleted', 'notes.old': 'added' });
    expect(patch).toMatch(
      /^diff --git a\/notes b\/notes\ndeleted file[^]*\n-1\n-2\n-3\ndiff --git a\/notes.old b\/notes.old\nnew file[^]*\n\+1\n\+2\n\+3\n\+4\n$/,
    );
  });

  it('Python makes an environment of its own and runs what a wheel of the context brings', async () => {
    const box = await open((project) => void execFileSync('python3', ['-c', WHEEL], { cwd: project }));
    await box.run('python3 -m venv --without-pip .venv; python3 -m zipfile -e greeting-1-py3-none-any.whl .venv/lib/python3*/site-packages');
    const told = 'import greeting, importlib.metadata, sys; print(greeting.hello(), importlib.metadata.version("greeting"), sys.prefix)';
    expect(await box.run(`. .venv/bin/activate; python -c '${told}'`)).toBe('hello from a wheel 1 /workspace/.venv\n');
  });

  it('npm installs without a network what a cache in the context holds', async ({ skip }) => {
    if (!existsSync('/usr/bin/npm')) give('no npm below /usr', 'npm without a network', skip);
    const box = await open(async (project) => {
      const registry = await serveOnePackage(project);
      makeTree({ 'package.json': JSON.stringify({ name: 'app', version: '1.0.0', dependencies: { leftpad: '1.0.0' } }) }, project);
      await npm(project, 'install', '--registry', registry);
    });
    expect(await box.run('rm -rf node_modules; npm ci --offline --no-audit --no-fund --cache .npm-cache', { timeout_ms: 0, wait_ms: 45_000 })).toContain(
      'added 1 package',
    );
    expect(await box.run(`node -p 'require("leftpad")("x", 3)'; git status 2>&1 | head -1`)).toMatch(/^ {2}x\n/);
  });

  it('what a program reads there is what the context holds, whatever that is: names, types, modes, times, contents', { timeout: 300_000 }, async () => {
    // gVisor tells times before 1970 as other ones.
    const modes = fc.array(fc.nat(3), { minLength: 1, maxLength: 5 });
    const times = fc.array(fc.bigInt(0n, 4n * 10n ** 18n), { minLength: 1, maxLength: 5 });
    const some = fc.sample(fc.tuple(trees, modes, times), { numRuns: 12, seed: Date.now() });
    for (const [tree, choices, nanoseconds] of some) {
      const box = await open((project) => {
        makeTree(tree, project);
        for (const [index, path] of Object.keys(readTree(project)).toReversed().entries()) {
          const stats = lstatSync(Buffer.from(`${project}/${path}`, 'latin1'));
          const among = stats.isDirectory() ? [0o755, 0o700, 0o711, 0o1777] : [0o644, 0o600, 0o755, 0o444];
          stamp(`${project}/${path}`, stats.isSymbolicLink() ? null : among[choices[index % choices.length]!]!, nanoseconds[index % nanoseconds.length]!);
        }
      });
      expect(JSON.parse(await box.run(['python3', '-c', READ_TREE], { max_output_bytes: 1_000_000 }))).toEqual(readTree(box.project));
      await box.destroy();
    }
  });
});

const WHEEL = `
import zipfile
with zipfile.ZipFile("greeting-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greeting/__init__.py", "def hello(): return 'hello from a wheel'\\n")
    wheel.writestr("greeting-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: greeting\\nVersion: 1\\n")
    wheel.writestr("greeting-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("greeting-1.dist-info/RECORD", "")
`;

/** What readTree of test/workspace/trees.ts tells, told by a program inside. */
const READ_TREE = `
import json, os, stat
found = {}
def read(folder, prefix):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        what = os.lstat(path)
        mode, time = "%o" % stat.S_IMODE(what.st_mode), str(what.st_mtime_ns)
        key = prefix + name.decode("latin-1")
        if stat.S_ISLNK(what.st_mode):
            found[key] = f"link {time} " + os.readlink(path).decode("latin-1")
        elif stat.S_ISDIR(what.st_mode):
            found[key] = f"directory {mode} {time}"
            read(path, key + "/")
        else:
            found[key] = f"file {mode} {time} " + open(path, "rb").read().decode("latin-1")
read(b".", "")
print(json.dumps(found))
`;

// The event loop serves the registry meanwhile.
const npm = async (cwd: string, ...args: readonly string[]): Promise<string> => {
  const env = { PATH: process.env['PATH'], HOME: cwd, npm_config_update_notifier: 'false' };
  return (await promisify(execFile)('/usr/bin/npm', ['--cache', '.npm-cache', '--no-audit', '--no-fund', ...args], { cwd, env })).stdout;
};

/** A registry of one package on the host's loopback, until the test ends. Returns its address. */
const serveOnePackage = async (place: string): Promise<string> => {
  const [name, version] = ['leftpad', '1.0.0'];
  const source = join(place, '.package');
  makeTree(
    { 'package.json': JSON.stringify({ name, version, main: 'index.js' }), 'index.js': 'module.exports = (text, to) => text.padStart(to);\n' },
    (mkdirSync(source), source),
  );
  await npm(place, 'pack', '--silent', './.package');
  const archive = readFileSync(join(place, `${name}-${version}.tgz`));
  const registry = createServer((request, response) => {
    if (request.url?.endsWith('.tgz')) return void response.end(archive);
    const tarball = `http://${request.headers.host}/${name}.tgz`;
    const integrity = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
    response.setHeader('content-type', 'application/json');
    return void response.end(
      JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: { name, version, dist: { tarball, integrity } } } }),
    );
  });
  onTestFinished(() => registry.close().closeAllConnections());
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
};
