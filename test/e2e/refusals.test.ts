/** Every error that the tools can give, provoked through the front door; and after each of them the host is as before. */
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CallError } from './harness/client.ts';
import { makeDirectory, makeHome, type Home } from './harness/home.ts';
import { NOTHING, watchHost } from './harness/looks.ts';
import { mode, user } from './harness/mode.ts';
import { startServer, type Server } from './harness/server.ts';

/** What a refusal says: its code and its text. Nothing of the host may be in the text. */
const refusal = async (call: Promise<unknown>): Promise<{ code: string; text: string }> => {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    expect(error.message, 'a stack, a module or an argv').not.toMatch(/\n\s+at |node_modules|\.[jt]s:\d|runsc (--|create)|--root/);
    expect(error.hint).not.toBe('');
    return { code: error.code, text: error.message };
  }
  throw new Error('it was not refused');
};

const code = async (call: Promise<unknown>): Promise<string> => (await refusal(call)).code;

// A server, and the demand that after it nothing is left.
const serve = async (
  options: { readonly args?: readonly string[]; readonly env?: Record<string, string>; readonly home?: Home; readonly cwd?: string } = {},
): Promise<Server> => {
  const home = options.home ?? makeHome();
  const look = watchHost(home);
  const server = await startServer({ ...options, home });
  onTestFinished(async () => {
    look();
    await server.close();
    expect(look()).toEqual(NOTHING);
  });
  return server;
};

const project = (): string => makeDirectory('project', (directory) => writeFileSync(join(directory, 'file'), 'x'));
const sandboxOf = async (server: Server, args: Record<string, unknown> = { context: 'none' }): Promise<string> =>
  String((await server.call('sandbox_create', args))['sandbox_id']);

// A directory for policies: no parent may be writable by others, so not in a temporary one.
const policyDirectory = (files: Readonly<Record<string, unknown>>): string => {
  const parent = process.getuid!() === 0 ? '/var/lib' : homedir();
  const directory = mkdtempSync(join(parent, 'cellwall-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, value] of Object.entries(files)) writeFileSync(join(directory, name), typeof value === 'string' ? value : JSON.stringify(value));
  for (const name of ['', ...Object.keys(files)]) chownSync(join(directory, name), user.uid, user.gid);
  chmodSync(directory, 0o755);
  return directory;
};

// A server that does not start: what it says, without a stack and without a word on stdout.
const startFailure = async (args: readonly string[]): Promise<string> => {
  try {
    await startServer({ args });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('it started');
};

describe(`create is refused, server as ${mode}:`, () => {
  it('policies, limits, parameters', async () => {
    const server = await serve();
    const create = (args: Record<string, unknown>) => refusal(server.call('sandbox_create', { context: 'none', ...args }));
    expect(await create({ policy: 'pyhton' })).toEqual({ code: 'POLICY_UNKNOWN', text: expect.stringContaining('offline') });
    for (const limits of [{ memory_mb: 2049 }, { cpus: 2.1 }, { pids: 1025 }, { disk_mb: 2049 }])
      expect([limits, (await create({ limits })).code]).toEqual([limits, 'LIMIT_EXCEEDED']);
    expect((await create({ ttl_s: 14_401 })).code).toBe('LIMIT_EXCEEDED');
    for (const [args, named] of [
      [{ limits: { memory_gb: 1 } }, 'memory_gb'],
      [{ label: 7 }, 'label'],
      [{ label: 'a\nb' }, 'label'],
      [{ label: 'x'.repeat(101) }, 'label'],
      [{ contxt: '/x' }, 'contxt'],
      [{ env: { 'A=B': 'x' } }, 'env'],
      [{ ttl_s: 0 }, 'ttl_s'],
    ] as const)
      expect(await create(args)).toEqual({ code: 'INVALID_PARAMS', text: expect.stringContaining(named) });
  });

  it('contexts outside, secret, missing, too large', async () => {
    const allowed = makeDirectory('work', (directory) => {
      mkdirSync(join(directory, '.ssh'));
      mkdirSync(join(directory, '..foo'));
      symlinkSync('/etc', join(directory, 'link'));
      writeFileSync(join(directory, 'file'), '');
    });
    const evil = `${allowed}-evil`;
    mkdirSync(evil);
    const server = await serve({ args: ['--allow-root', allowed] });
    const create = (context: string) => code(server.call('sandbox_create', { context }));
    for (const context of [evil, '/etc', join(allowed, 'link'), join(allowed, '../'), '/', join(allowed, '.ssh')])
      expect([context, await create(context)]).toEqual([context, 'CONTEXT_REFUSED']);
    expect([await create(join(allowed, 'nothing')), await create(join(allowed, 'file')), await create('relative')]).toEqual([
      'CONTEXT_NOT_FOUND',
      'CONTEXT_NOT_FOUND',
      'INVALID_PARAMS',
    ]);
    expect(await server.call('sandbox_create', { context: join(allowed, '..foo') })).toMatchObject({ context: { files: 0 } });
  });

  it('a context beyond the limits, naming where the most lies', async () => {
    const policies = policyDirectory({ 'tiny.json': { name: 'tiny', extends: 'offline', context: { max_files: 3, why: 'a test' } } });
    const context = makeDirectory('large', (directory) => {
      mkdirSync(join(directory, 'heap'));
      for (let file = 0; file < 5; file++) writeFileSync(join(directory, `heap/${file}`), '');
    });
    const server = await serve({ args: ['--context', context, '--policies', policies] });
    expect(await refusal(server.call('sandbox_create', { policy: 'tiny' }))).toEqual({ code: 'CONTEXT_TOO_LARGE', text: expect.stringContaining('heap') });
  });

  it('one more than the quota', async () => {
    const server = await serve({ args: ['--max-sandboxes', '1'] });
    await sandboxOf(server);
    expect(await code(server.call('sandbox_create', { context: 'none' }))).toBe('QUOTA_EXCEEDED');
  });

  it('where there is no runsc, with the command that gets one', async () => {
    const server = await serve({ home: makeHome({ runsc: false }), env: { PATH: '/nowhere' } });
    const { code: got, text } = await refusal(server.call('sandbox_create', { context: 'none' }));
    expect([got, text]).toEqual(['RUNTIME_UNAVAILABLE', expect.stringContaining('cellwall setup')]);
  });

  it('where others may write the runsc, or it is none', async () => {
    const directory = makeDirectory('runsc', (place) => copyFileSync('/bin/true', join(place, 'runsc')));
    chmodSync(join(directory, 'runsc'), 0o777);
    for (const runsc of [join(directory, 'runsc'), join(directory, 'nothing'), directory]) {
      const server = await startServer({ home: makeHome({ runsc: false }), env: { CELLWALL_RUNSC: runsc } });
      const { code: got, text } = await refusal(server.call('sandbox_create', { context: 'none' }));
      expect([got, text]).toEqual(['RUNTIME_UNAVAILABLE', expect.stringContaining('CELLWALL_RUNSC')]);
      expect(text).not.toContain(directory);
      await server.close();
    }
  });

  it.each([
    ['dies', '#!/bin/sh\necho noise on stdout; echo reasons >&2; exit 3\n', 'exit code 3'],
    ['hangs', '#!/bin/sh\nexec sleep 1000\n', 'did not end within'],
  ])('by a runsc that %s while creating', async (_, script, says) => {
    const directory = makeDirectory('runsc', (place) => writeFileSync(join(place, 'runsc'), script, { mode: 0o755 }));
    const server = await serve({ home: makeHome({ runsc: false }), env: { CELLWALL_RUNSC: join(directory, 'runsc') } });
    expect(await refusal(server.call('sandbox_create', { context: 'none' }))).toEqual({ code: 'RUNTIME_FAILED', text: expect.stringContaining(says) });
    expect([server.garbage, (await server.call('sandbox_list'))['quota']]).toEqual([[], { used: 0, max: 8 }]);
  });
});

describe(`before anything is served, server as ${mode}:`, () => {
  it.each([
    ['a broken policy', { 'broken.json': '{' }, 'broken.json'],
    ['a field of the wrong type', { 'mine.json': { name: 'mine', extends: 'offline', limits: { memory_mb: 'many', why: 'x' } } }, 'memory_mb'],
    ['a policy that takes a shipped name', { 'offline.json': { name: 'offline', extends: 'scratch' } }, 'offline'],
    ['a policy that extends by a path', { 'mine.json': { name: 'mine', extends: '../offline' } }, 'extends'],
  ])('%s ends the server and is named', async (_, files, named) => {
    expect(await startFailure(['--policies', policyDirectory(files)])).toContain(named);
  });

  it('a directory of policies that others may write is refused', async () => {
    const directory = policyDirectory({});
    chmodSync(directory, 0o777);
    expect(await startFailure(['--policies', directory])).toContain(directory);
  });

  it('nothing in the project configures the server that is started in it', async () => {
    const cwd = makeDirectory('project', (directory) => {
      writeFileSync(join(directory, 'cellwall.config.json'), '{"maxSandboxes": 3}');
      writeFileSync(join(directory, '.env'), 'CELLWALL_MAX_SANDBOXES=3\n');
      mkdirSync(join(directory, 'policies'));
      writeFileSync(join(directory, 'policies/mine.json'), '{}');
    });
    const server = await serve({ cwd });
    expect((await server.call('sandbox_list'))['quota']).toEqual({ used: 0, max: 8 });
    expect(await code(server.call('sandbox_create', { policy: 'mine' }))).toBe('POLICY_UNKNOWN');
  });
});

describe(`in a sandbox, server as ${mode}:`, () => {
  it('what cannot be run, waited for, read or written is told, and the sandbox goes on', async () => {
    const server = await serve({ args: ['--context', project()] });
    const sandbox_id = await sandboxOf(server, {});
    const call = (tool: string, args: Record<string, unknown>) => refusal(server.call(tool, { sandbox_id, ...args }));
    expect(await call('sandbox_exec', { argv: ['no-such-program'] })).toEqual({
      code: 'EXEC_FAILED',
      text: expect.stringContaining('"no-such-program" cannot be started: it does not exist'),
    });
    expect(await call('sandbox_exec', { argv: ['/workspace/file'] })).toEqual({ code: 'EXEC_FAILED', text: expect.stringContaining('permission is denied') });
    expect(await call('sandbox_exec', { command: 'true', cwd: 'missing' })).toEqual({
      code: 'EXEC_FAILED',
      text: expect.stringContaining('"/workspace/missing" cannot be entered'),
    });
    expect((await call('sandbox_exec', { command: 'true', timeout_ms: 3_600_001 })).code).toBe('LIMIT_EXCEEDED');
    for (const args of [{}, { command: 'true', argv: ['true'] }, { command: 'a\0b' }, { command: 7 }, { argv: [] }])
      expect([args, (await call('sandbox_exec', args)).code]).toEqual([args, 'INVALID_PARAMS']);
    expect((await call('sandbox_wait', { exec_id: 'ex_nobody' })).code).toBe('EXEC_NOT_FOUND');
    await server.call('sandbox_exec', {
      sandbox_id,
      command: "printf '\\0\\377' > binary; mkfifo fifo /tmp/fifo; ln -s /proc/self/root/etc magic; ln -s nothing dangling",
    });
    expect((await call('sandbox_read', { path: 'binary' })).code).toBe('NOT_TEXT');
    for (const path of ['nothing', 'dangling', 'file/below']) expect([path, (await call('sandbox_read', { path })).code]).toEqual([path, 'PATH_NOT_FOUND']);
    for (const [path, type] of [
      ['fifo', 'fifo'],
      ['/tmp/fifo', 'fifo'],
      ['/dev/null', 'device'],
      ['/dev/zero', 'device'],
    ] as const)
      expect([path, await server.call('sandbox_read', { sandbox_id, path })]).toEqual([path, { type }]);
    for (const path of ['/etc/passwd', '/usr/bin/x', '/run/cellwall/x', '/proc/x', '/'])
      expect([path, (await call('sandbox_write', { path, content: '' })).code]).toEqual([path, 'PATH_REFUSED']);
    expect((await call('sandbox_write', { path: 'file', edits: [{ old_text: 'y', new_text: 'z' }] })).code).toBe('EDIT_MISMATCH');
    expect((await call('sandbox_write', { path: 'file', content: '', expected_sha256: '0'.repeat(64) })).code).toBe('WRITE_CONFLICT');
    await server.call('sandbox_exec', { sandbox_id, command: 'head -c 100000000 /dev/zero > /dev/shm/full; true' });
    expect((await call('sandbox_write', { path: '/dev/shm/more', content: 'x'.repeat(5000) })).code).toBe('DISK_FULL');
    expect(await server.call('sandbox_exec', { sandbox_id, command: 'cat file' })).toMatchObject({ exit_code: 0, stdout: 'x' });
  });

  it('a sandbox that is unknown, destroyed or expired is told apart; null means left out', async () => {
    const policies = policyDirectory({ 'brief.json': { name: 'brief', extends: 'offline', lifetime: { ttl_s: 1, why: 'a test' } } });
    const server = await serve({ args: ['--policies', policies] });
    expect(await code(server.call('sandbox_exec', { sandbox_id: 'sb_nobody', command: 'true' }))).toBe('SANDBOX_NOT_FOUND');
    const sandbox_id = await sandboxOf(server, { context: 'none', policy: null, env: null, limits: null, ttl_s: null, label: null });
    expect(
      await server.call('sandbox_exec', { sandbox_id, command: 'echo $A', argv: null, cwd: null, env: null, stdin: null, timeout_ms: null }),
    ).toMatchObject({ exit_code: 0 });
    for (let turn = 0; turn < 2; turn++) expect(await server.call('sandbox_destroy', { sandbox_id })).toEqual({ destroyed: true });
    expect(await code(server.call('sandbox_exec', { sandbox_id, command: 'true' }))).toBe('SANDBOX_NOT_FOUND');
    const brief = await sandboxOf(server, { context: 'none', policy: 'brief' });
    let got = '';
    while (got === '')
      got = await server.call('sandbox_exec', { sandbox_id: brief, command: 'sleep 0.1' }).then(
        () => '',
        (error: unknown) => (error instanceof CallError ? error.code : String(error)),
      );
    expect(['SANDBOX_EXPIRED', 'SANDBOX_NOT_FOUND']).toContain(got);
    expect(await code(server.call('sandbox_exec', { sandbox_id: brief, command: 'true' }))).toBe('SANDBOX_EXPIRED');
  });

  it('one that is out of memory, or whose kernel was killed, fails with the reason and can be destroyed', async () => {
    const server = await serve();
    const sandbox_id = await sandboxOf(server, { context: 'none', limits: { memory_mb: 64 } });
    const hungry = 'python3 -c "x = bytearray(400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"';
    expect(await server.call('sandbox_exec', { sandbox_id, command: hungry })).toMatchObject({ status: 'oom_killed', exit_code: null, signal: 'SIGKILL' });
    expect(await refusal(server.call('sandbox_exec', { sandbox_id, command: 'true' }))).toEqual({
      code: 'SANDBOX_FAILED',
      text: expect.stringContaining('64 MB of memory'),
    });
    expect((await server.call('sandbox_list'))['sandboxes']).toMatchObject([{ state: 'failed' }]);
    expect(await server.call('sandbox_destroy', { sandbox_id })).toEqual({ destroyed: true });
  });
});
