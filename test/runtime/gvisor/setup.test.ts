import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, openSync, closeSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cachedRunsc, findRunsc, RUNSC_VERSION } from '../../../src/runtime/gvisor/runsc.ts';
import { setupRunsc, type Progress, type SetupOptions } from '../../../src/runtime/gvisor/setup.ts';
import { programsOnPath } from '../../../src/runtime/gvisor/trust.ts';
import { call } from '../../../src/syscall/call.ts';
import { LOCK_EX } from '../../../src/syscall/constants.ts';

const SUM = 'h1:AU5+CtCvnBnxdZRNcZt1NfSLqgkXZVT3N/u6u1aXg44=';
const RUNS = '#!/bin/sh\necho "runsc version of-a-test"\n';
/** What a `go install` of the tests does: leaves a runsc that runs. */
const MAKES_RUNSC = `printf '%s' '${RUNS}' > "$GOBIN/runsc"; chmod 755 "$GOBIN/runsc"`;

let home: string;
let cacheDir: string;
let said: Progress[];
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-setup-')));
  cacheDir = join(home, 'cache');
  said = [];
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const program = (path: string, text: string): string => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, text, { mode: 0o755 });
  return path;
};

/** A `go` that writes down how it was called, and installs as told. */
const fakeGo = (install = MAKES_RUNSC, { sum = SUM, database = 'sum.golang.org' } = {}): void => {
  const module = `path\\tgvisor.dev/gvisor/runsc\\n\\tmod\\tgvisor.dev/gvisor\\t${RUNSC_VERSION}\\t${sum}\\n`;
  program(
    join(home, 'go/go'),
    `#!/bin/sh
echo "$*" >> '${home}/calls'
case $1 in
  install) env > '${home}/environment'; ${install} ;;
  version) printf '%s: go1.99\\n\\t${module}' "$3" ;;
  env) printf '${database}\\n\\n' ;;
esac
`,
  );
};
const calls = (): string[] => (existsSync(join(home, 'calls')) ? readFileSync(join(home, 'calls'), 'utf8').trim().split('\n') : []);
const installs = (): number => calls().filter((line) => line.startsWith('install ')).length;

const setup = ({ env, ...options }: Partial<SetupOptions> = {}) =>
  setupRunsc({
    cacheDir,
    env: { PATH: `${join(home, 'go')}:/usr/bin:/bin`, ...env },
    signal: new AbortController().signal,
    report: (progress) => said.push(progress),
    systemDirs: [join(home, 'system')],
    ...options,
  });
const failure = (options?: Partial<SetupOptions>): Promise<Error & { cause: unknown }> =>
  setup(options).then(
    (result) => expect.unreachable(`setup succeeded: ${JSON.stringify(result)}`),
    (error: Error & { cause: unknown }) => error,
  );
/** All that lies in the cache's directory of runsc, the lock aside. */
const left = (): string[] => (existsSync(join(cacheDir, 'runsc')) ? readdirSync(join(cacheDir, 'runsc')).filter((name) => name !== '.lock') : []);
const notes = (): string => said.filter(({ kind }) => kind === 'note').map(({ text }) => text).join('\n'); // prettier-ignore

describe('a runsc that is there', () => {
  it('is used as it is, and nothing is built', async () => {
    fakeGo();
    const path = program(join(home, 'system/runsc'), RUNS);
    expect(await setup()).toMatchObject({ path, source: join(home, 'system'), how: 'present' });
    expect([calls(), existsSync(cacheDir)]).toEqual([[], false]);
  });

  it.each([
    [
      'is too old for our flags',
      '#!/bin/sh\necho "flag provided but not defined: -oci-seccomp" >&2; exit 2\n',
      'it is too old: it does not know --oci-seccomp',
    ],
    ['is another program', '#!/bin/sh\n', 'it is no runsc'],
    ['cannot be started', '#!/nowhere/sh\n', 'it does not run (ENOENT)'],
    ['fails', '#!/bin/sh\nexit 3\n', 'it does not run (exit code 3)'],
  ])('and %s is named, and one is built that goes before it', async (_, text, flaw) => {
    fakeGo();
    const path = program(join(home, 'system/runsc'), text);
    expect(await setup()).toMatchObject({ path: cachedRunsc(cacheDir), how: 'built' });
    expect(notes().split('\n').filter((line) => line.includes(path))).toEqual([`${path} is not used: ${flaw}`]); // prettier-ignore
  });

  it('but that others may write is named, and one is built that goes before it', async () => {
    fakeGo();
    chmodSync(program(join(home, 'system/runsc'), RUNS), 0o777);
    expect(await setup()).toMatchObject({ path: cachedRunsc(cacheDir), how: 'built' });
    expect(notes()).toContain(`${join(home, 'system/runsc')} has mode 0777`);
  });

  it('in the cache is not touched again', async () => {
    fakeGo();
    const { path } = await setup();
    const before = statSync(path, { bigint: true });
    expect(await setup()).toMatchObject({ path, source: 'cache', how: 'present', verified: expect.stringContaining('SHA-256') });
    expect([statSync(path, { bigint: true }).mtimeNs, statSync(path, { bigint: true }).ino, installs()]).toEqual([before.mtimeNs, before.ino, 1]);
  });

  it.each([
    ['whose content is another than was built', (path: string) => writeFileSync(path, `${RUNS}# changed\n`), 'its SHA-256 is not the one recorded'],
    ['without a recorded SHA-256', (path: string) => rmSync(`${path}.sha256`), 'no SHA-256 is recorded'],
    ['that others may write', (path: string) => chmodSync(path, 0o777), 'it is writable by others'],
  ])('in the cache %s is built again', async (_, spoil, reason) => {
    fakeGo();
    const { path } = await setup();
    spoil(path);
    expect(await setup()).toMatchObject({ path, how: 'built' });
    expect(notes()).toContain(reason);
    expect([readFileSync(path, 'utf8'), left()]).toEqual([RUNS, [RUNSC_VERSION]]);
  });
});

describe('CELLWALL_RUNSC', () => {
  it('is used when it runs', async () => {
    fakeGo();
    const path = program(join(home, 'mine'), RUNS);
    expect(await setup({ env: { CELLWALL_RUNSC: path } })).toMatchObject({ path, source: 'CELLWALL_RUNSC', how: 'present' });
  });

  it.each([
    ['names nothing', (path: string) => rmSync(path), 'is not used: it does not exist'],
    ['is no runsc', (path: string) => writeFileSync(path, '#!/bin/sh\n'), 'cannot be used: it is no runsc'],
  ])('is an error when it %s, and nothing is built in its place', async (_, spoil, why) => {
    fakeGo();
    const path = program(join(home, 'mine'), RUNS);
    spoil(path);
    const error = await failure({ env: { CELLWALL_RUNSC: path } });
    expect(error).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', message: `the runsc that CELLWALL_RUNSC names ${why}` });
    expect((error.cause as Error).message).toContain(path);
    expect(calls()).toEqual([]);
  });
});

describe('a build', () => {
  it('puts runsc where servers look, readable for all, with its SHA-256 beside it, and nothing else', async () => {
    fakeGo();
    const before = process.umask(0o077);
    const result = await setup().finally(() => process.umask(before));
    expect(result).toMatchObject({ path: cachedRunsc(cacheDir), source: 'cache', how: 'built' });
    expect(findRunsc({ env: {}, cacheDir, uid: process.getuid!(), systemDirs: [] }).path).toBe(result.path);
    const modes = [join(cacheDir, 'runsc'), dirname(result.path), result.path].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o755, 0o755, 0o755]);
    expect(readFileSync(`${result.path}.sha256`, 'utf8')).toBe(`${createHash('sha256').update(RUNS).digest('hex')}  runsc\n`);
    expect([left(), readdirSync(dirname(result.path)).sort()]).toEqual([[RUNSC_VERSION], ['runsc', 'runsc.sha256']]);
  });

  it('is one `go install` of the pinned version, whatever the environment says about building', async () => {
    fakeGo();
    await setup({
      env: { GOFLAGS: '-mod=vendor', GOOS: 'plan9', GO111MODULE: 'off', CGO_CFLAGS: '-x', GOPROXY: 'https://proxy.example', HTTPS_PROXY: 'http://p.example' },
    });
    expect(calls()[0]).toBe(`install -v -trimpath -ldflags -s -w gvisor.dev/gvisor/runsc@${RUNSC_VERSION}`);
    const environment = readFileSync(join(home, 'environment'), 'utf8').split('\n');
    expect(environment).toEqual(
      expect.arrayContaining([
        'GOFLAGS=-trimpath',
        'GOOS=linux',
        'GO111MODULE=on',
        'CGO_ENABLED=0',
        'GOPROXY=https://proxy.example',
        'HTTPS_PROXY=http://p.example',
      ]),
    );
    expect(environment.filter((line) => line.startsWith('CGO_CFLAGS'))).toEqual([]);
    expect(environment.find((line) => line.startsWith('PWD='))).toMatch(/\.build-[0-9a-f]+\/empty$/);
  });

  it('tells what is downloaded and compiled', async () => {
    fakeGo(`echo 'go: downloading a.example/b v1.0.0' >&2; echo 'a.example/b/c' >&2; echo 'a.example/d' >&2; ${MAKES_RUNSC}`);
    await setup();
    expect(said.filter(({ kind }) => kind === 'status').map(({ text }) => text)).toEqual(['downloading: 1 modules', 'compiling: 1 packages', 'compiling: 2 packages', 'checking']); // prettier-ignore
  });

  it('says who checked the modules, and that nobody did where the database is off', async () => {
    fakeGo();
    expect((await setup()).verified).toBe(
      `built by go1.99 from gvisor.dev/gvisor with checksum ${SUM}; the modules it needs checked by sum.golang.org; it runs`,
    );
    rmSync(cacheDir, { recursive: true });
    fakeGo(MAKES_RUNSC, { database: 'off' });
    expect((await setup()).verified).toContain('the modules it needs were not checked (GOSUMDB is off)');
  });

  it('of several setups at once happens once', async () => {
    fakeGo(`sleep 0.2; ${MAKES_RUNSC}`);
    const results = await Promise.all([setup(), setup(), setup()]);
    expect(results.map(({ how }) => how).sort()).toEqual(['built', 'present', 'present']);
    expect(installs()).toBe(1);
  });

  it('removes what a killed setup left', async () => {
    fakeGo();
    program(join(cacheDir, 'runsc/.build-0123456789ab/bin/runsc'), 'half');
    await setup();
    expect(left()).toEqual([RUNSC_VERSION]);
  });
});

describe('a build that fails leaves nothing half-made', () => {
  it('where there is no Go', async () => {
    const error = await failure({ env: { PATH: join(home, 'nothing') } });
    expect(error).toMatchObject({
      code: 'RUNTIME_UNAVAILABLE',
      message: 'runsc cannot be built: there is no `go` in PATH',
      hint: expect.stringContaining('install Go 1.26.3 or later'),
    });
    expect(left()).toEqual([]);
  });

  it.each([
    ['main.go:1:1: something odd', 'RUNTIME_UNAVAILABLE', '`go install` ended with exit code 1'],
    ['write /x/y: no space left on device', 'HOST_FULL', 'the disk is full'],
    ['go: a.example/b@v1: verifying module: checksum mismatch', 'RUNTIME_UNAVAILABLE', 'what came is not what the checksum database knows'],
    ['go: gvisor.dev/gvisor@v0 requires go >= 1.26.3 (running go 1.24; GOTOOLCHAIN=local)', 'RUNTIME_UNAVAILABLE', 'this Go is too old'],
    ['go: Get "https://p.example/": dial tcp: lookup p.example: no such host', 'RUNTIME_UNAVAILABLE', 'its modules could not be fetched'],
    ['go: module lookup disabled by GOPROXY=off', 'RUNTIME_UNAVAILABLE', 'its modules could not be fetched'],
  ])('when Go says %s', async (line, code, why) => {
    fakeGo(`echo 'a.example/compiled' >&2; echo '${line}' >&2; exit 1`);
    const error = await failure();
    expect(error).toMatchObject({ code, message: `runsc could not be built: ${why}`, cause: expect.objectContaining({ message: line }) });
    expect(left()).toEqual([]);
  });

  it.each([
    ['makes nothing', 'true', {}, 'runsc could not be built: `go install` ended well but made no runsc'],
    [
      'makes something that does not run',
      'echo "#!/nowhere/sh" > "$GOBIN/runsc"',
      {},
      'runsc could not be built: what was built cannot be used: it does not run (ENOENT)',
    ],
    [
      'makes it from a module with another checksum',
      MAKES_RUNSC,
      { sum: 'h1:other' },
      'runsc was thrown away: the module it was built from has another checksum than the one known here',
    ],
  ])('when Go %s', async (_, install, facts, message) => {
    fakeGo(install, facts);
    expect(await failure()).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', message });
    expect(left()).toEqual([]);
  });

  it('when it is aborted, and no process of it stays', async () => {
    fakeGo(`sleep 1000 & echo $! > '${home}/pid'; echo 'go: downloading a.example/b v1' >&2; wait`);
    const abort = new AbortController();
    const report = ({ text }: Progress): void => {
      if (text.startsWith('downloading')) abort.abort();
    };
    expect(await failure({ signal: abort.signal, report })).toMatchObject({ code: 'CANCELED', message: 'setup was stopped: nothing was left half-made' });
    const status = `/proc/${readFileSync(join(home, 'pid'), 'utf8').trim()}/status`;
    expect(existsSync(status) ? /State:\s+(\w)/.exec(readFileSync(status, 'utf8'))?.[1] : 'gone').toMatch(/gone|Z/);
    expect(left()).toEqual([]);
  });

  it('when it is aborted while another setup holds the lock', async () => {
    fakeGo();
    mkdirSync(join(cacheDir, 'runsc'), { recursive: true });
    const fd = openSync(join(cacheDir, 'runsc/.lock'), 'a');
    call('flock', fd, LOCK_EX);
    const abort = new AbortController();
    const report = ({ text }: Progress): void => {
      if (text === 'waiting for another setup') abort.abort();
    };
    expect(await failure({ signal: abort.signal, report })).toMatchObject({ code: 'CANCELED' });
    closeSync(fd);
    expect([calls(), left()]).toEqual([[], []]);
  });

  it('when others may write the cache, before Go is started', async () => {
    fakeGo();
    mkdirSync(cacheDir);
    chmodSync(cacheDir, 0o777);
    const error = await failure();
    expect(error).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', message: 'a runsc in the cache directory would not be used: it is writable by others' });
    expect([calls(), left()]).toEqual([[], []]);
  });
});

const [go] = programsOnPath('go', process.env['PATH'] ?? '');
if (go === undefined) console.warn('skipped: no `go` in PATH, so runsc is not built for real');

it.skipIf(go === undefined)('the real Go builds a runsc that runs and has the known checksum (needs `go` in PATH)', { timeout: 900_000 }, async () => {
  const result = await setup({ env: { ...process.env, CELLWALL_RUNSC: '' } });
  expect(result).toMatchObject({ path: cachedRunsc(cacheDir), how: 'built', verified: expect.stringContaining(SUM) });
  expect(await setup()).toMatchObject({ path: result.path, how: 'present' });
});
