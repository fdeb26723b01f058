import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createBox } from '../e2e/harness/box.ts';
import { makeDirectory, makeHome, own } from '../e2e/harness/home.ts';
import { mode } from '../e2e/harness/mode.ts';
import { refused } from '../e2e/harness/refusals.ts';
import { startServer } from '../e2e/harness/server.ts';
import { makePolicies, makeTrusted, sections, writeOwned } from '../e2e/harness/trusted.ts';

const SECRET = 'the-secret-itself';
const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n';

type Skipped = readonly { readonly path: string; readonly reason: string }[];
const contextOf = ({ context }: Readonly<Record<string, unknown>>): { files: number; skipped: Skipped; skipped_count: number } =>
  context as { files: number; skipped: Skipped; skipped_count: number };

describe(`P9 a project that holds what must not come in, as ${mode}`, () => {
  it('secrets are left out, named with the reason, and nothing of them is inside', async () => {
    const secrets = {
      '.env': SECRET, '.env.local': SECRET, '.ENV': SECRET, '.ssh/id_ed25519': KEY, '.aws/credentials': SECRET, 'deploy/server.pem': KEY, 'id_rsa': KEY, 'notes.txt.key': KEY,
      '.npmrc': `//registry/:_authToken=${SECRET}\n`, 'terraform.tfstate': SECRET, '.netrc': SECRET, 'sa.json': `{"private_key": "${SECRET}"}`, '.docker/config.json': SECRET, 'hidden-key': KEY, '.kube/config': SECRET,
    }; // prettier-ignore
    const kept = { '.env.example': 'A=', 'certificate.pem': '-----BEGIN CERTIFICATE-----\nx\n', 'id_rsa.pub': 'ssh-rsa x', 'package.json': '{}', env: 'x' };
    const context = makeDirectory('project', (directory) => {
      for (const [path, content] of Object.entries({ ...secrets, ...kept })) {
        mkdirSync(join(directory, path, '..'), { recursive: true });
        writeFileSync(join(directory, path), content);
      }
    });
    const server = await startServer({ args: ['--context', context] });
    const box = await createBox(server, {});
    const { skipped, skipped_count, files } = contextOf(box.created);
    expect(files).toBe(Object.keys(kept).length);
    const tops = new Set(['.ssh', '.aws', '.kube']);
    const expected = [...new Set(Object.keys(secrets).map((path) => (tops.has(path.split('/')[0]!) ? path.split('/')[0]! : path)))].toSorted();
    expect(skipped.map(({ path }) => path.replace(/\/$/, '')).toSorted()).toEqual(expected);
    expect([skipped_count, new Set(skipped.map(({ reason }) => reason))]).toEqual([expected.length, new Set(['secret'])]);
    expect(await box.run(`grep -rl -e '${SECRET.slice(0, -1)}[f]' -e 'PRIVATE [K]EY' /workspace /run /etc /home 2>/dev/null || true`)).toBe('');
    expect((await box.run('ls -A')).trim().split('\n').toSorted()).toEqual([
      '.docker',
      '.env.example',
      'certificate.pem',
      'deploy',
      'env',
      'id_rsa.pub',
      'package.json',
    ]);
    expect(await server.close()).toBe(0);
  });

  it('links out, pipes, sockets, set-id bits and what may not be read', async () => {
    const outside = makeDirectory('outside', (directory) => writeFileSync(join(directory, 'file'), SECRET));
    const context = makeDirectory('project', (directory) => {
      writeFileSync(join(directory, 'tool'), '#!/bin/sh\nid -u\n');
      writeFileSync(join(directory, 'closed'), SECRET);
      for (const [name, target] of [
        ['out', outside],
        ['out-file', `${outside}/file`],
        ['up', '../'.repeat(12)],
        ['in', 'tool'],
        ['dangling', 'nothing'],
        ['passwd', '/etc/passwd'],
        ['python', '/usr/bin/env'],
        ['again', join(directory, 'tool')],
      ] as const)
        symlinkSync(target, join(directory, name));
    });
    chmodSync(join(context, 'tool'), 0o6755); // owned by the user of this mode by now
    if (mode === 'user') {
      rmSync(join(context, 'closed'));
      writeFileSync(join(context, 'closed'), SECRET, { mode: 0o600 });
    }
    const fifo = spawn('mkfifo', [join(context, 'pipe')]);
    await new Promise((resolve) => fifo.on('exit', resolve));
    const socket = createServer().listen(join(context, 'socket'));
    onTestFinished(() => void socket.close());
    await new Promise((resolve) => socket.on('listening', resolve));
    const server = await startServer({ args: ['--context', context] });
    const box = await createBox(server, {});
    const reasons = Object.fromEntries(contextOf(box.created).skipped.map(({ path, reason }) => [path, reason]));
    expect(reasons).toMatchObject({
      out: 'link out of the context',
      'out-file': 'link out of the context',
      up: 'link out of the context',
      passwd: 'link out of the context',
      pipe: 'fifo',
      socket: 'socket',
    });
    if (mode === 'user' && process.getuid!() === 0) expect(reasons['closed']).toBe('unreadable');
    expect(await box.run('stat -c %a tool; ./tool; readlink in dangling python')).toBe('755\n1000\ntool\nnothing\n/usr/bin/env\n');
    expect(await box.run(`grep -rl ${SECRET.slice(0, -1)}[f] /workspace --exclude closed || true`)).toBe('');
    expect(await server.close()).toBe(0);
  });

  it('a project that changes while it is copied is copied as it was at one moment of each file, or not at all', async () => {
    const context = makeDirectory('project', (directory) => {
      for (let file = 0; file < 50; file++) writeFileSync(join(directory, `file-${file}`), 'a'.repeat(50_000));
    });
    const churn = spawn(
      'python3',
      ['-c', `import itertools\nfor n in itertools.count():\n  with open("${context}/file-%d" % (n % 50), "w") as f: f.write("ab"[n // 50 % 2] * 50000)`],
      { stdio: 'ignore' },
    );
    onTestFinished(() => void churn.kill());
    const server = await startServer({ args: ['--context', context] });
    const outcome = await server.call('sandbox_create', {}).catch((error: unknown) => error);
    if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'CONTEXT_REFUSED' });
    else {
      const { sandbox_id } = outcome as { sandbox_id: string };
      const { stdout } = await server.call('sandbox_exec', {
        sandbox_id,
        command: 'for f in file-*; do printf "%s " $(wc -c < $f) $(tr -d ab < $f | wc -c) $(fold -w 1 $f | sort -u | wc -l); echo; done | sort -u',
      });
      expect(stdout, 'whole, or empty as it was for a moment').toMatch(/^(0 0 0 \n)?50000 0 1 \n$/);
    }
    churn.kill();
    expect(await server.close()).toBe(0);
  });

  it('what a policy excludes stays out, and what it includes comes in, by its exact path only', async () => {
    const context = makeDirectory('project', (directory) => {
      for (const name of ['.env', '.env.test', 'dump.sql', 'kept']) writeFileSync(join(directory, name), SECRET);
    });
    const policies = makePolicies({ chosen: sections({ context: { exclude: ['*.sql'], include: ['.env.test'] } }) });
    const server = await startServer({ args: ['--context', context, '--policies', policies] });
    const box = await createBox(server, { policy: 'chosen' });
    expect(await box.run('ls -A')).toBe('.env.test\nkept\n');
    expect(contextOf(box.created).skipped).toEqual(
      expect.arrayContaining([
        { path: '.env', reason: 'secret' },
        { path: 'dump.sql', reason: 'excluded by the policy' },
      ]),
    );
    expect(await server.close()).toBe(0);
  });
});

describe(`T6 a project that would choose its own walls, as ${mode}`, () => {
  it('changes nothing: neither a configuration, nor policies, nor an environment in it is read', async () => {
    const cwd = makeDirectory('project', (directory) => {
      mkdirSync(join(directory, 'policies'));
      mkdirSync(join(directory, '.config/cellwall'), { recursive: true });
      const config = JSON.stringify({ maxSandboxes: 99, policy: 'open', policies: './policies', toolResults: 'text', dottedNames: true });
      for (const name of ['cellwall.config.json', 'cellwall.json', '.cellwall.json', 'config.json', '.config/cellwall/config.json'])
        writeFileSync(join(directory, name), config);
      writeFileSync(join(directory, 'policies/open.json'), JSON.stringify({ name: 'open', extends: 'offline' }));
      writeFileSync(join(directory, '.env'), 'CELLWALL_POLICY=open\nCELLWALL_MAX_SANDBOXES=99\nCELLWALL_RUNSC=/bin/true\n');
      writeFileSync(join(directory, 'package.json'), JSON.stringify({ cellwall: { maxSandboxes: 99 }, type: 'module' }));
      writeFileSync(join(directory, 'runsc'), '#!/bin/sh\necho hijacked\n', { mode: 0o755 });
    });
    const [plain, inside] = [await startServer(), await startServer({ cwd })];
    expect(await inside.toolNames()).toEqual(await plain.toolNames());
    expect(await inside.call('sandbox_list')).toEqual(await plain.call('sandbox_list'));
    expect((await refused('POLICY_UNKNOWN', inside.call('sandbox_create', { policy: 'open' }))).message).toMatch(/: offline, scratch are loaded/);
    expect((await createBox(inside, { context: 'none' })).created).toMatchObject({ policy: 'offline' });
    expect([await plain.close(), await inside.close()]).toEqual([0, 0]);
  });

  it('is not searched for programs: a PATH with its directory finds no runsc in it', async () => {
    const cwd = makeDirectory('project', (directory) => writeFileSync(join(directory, 'runsc'), '#!/bin/sh\nexit 0\n', { mode: 0o755 }));
    const server = await startServer({ home: makeHome({ runsc: false }), cwd, env: { PATH: `.::${mode === 'root' ? cwd : ''}:/nonexistent` } });
    await refused('RUNTIME_UNAVAILABLE', server.call('sandbox_create', { context: 'none' }));
    expect(await server.close()).toBe(0);
  });
});

it(`T5 a policy cannot be written from inside, and is read once: what is written later changes nothing, as ${mode}`, async () => {
  const directory = makePolicies({ mine: sections({ limits: { pids: 100 } }) });
  const server = await startServer({ args: ['--policies', directory] });
  writeOwned(join(directory, 'mine.json'), JSON.stringify({ name: 'mine', extends: 'offline' }));
  writeOwned(join(directory, 'late.json'), JSON.stringify({ name: 'late', extends: 'offline' }));
  const box = await createBox(server, { context: 'none', policy: 'mine' });
  expect(box.created).toMatchObject({ limits: { pids: 100 } });
  await refused('POLICY_UNKNOWN', server.call('sandbox_create', { context: 'none', policy: 'late' }));
  for (const attempt of [
    'echo {} > /run/cellwall/policy.json',
    'rm -f /run/cellwall/policy.json',
    'mv /run/cellwall/policy.json /tmp',
    'mkdir /run/cellwall/x',
    'ln -s /etc /run/cellwall/x',
  ])
    expect((await box.exec(attempt)).stderr, attempt).toMatch(/Read-only file system|Permission denied/);
  expect(JSON.parse(await box.run('cat /run/cellwall/policy.json'))).toMatchObject({ name: 'mine', limits: { pids: 100 } });
  expect(await server.close()).toBe(0);
});

it(`T7 /etc is made for the sandbox: no key, no password and no file that others may not read on the host, as ${mode}`, async () => {
  const server = await startServer();
  const box = await createBox(server);
  expect(
    await box.run(
      "find /etc -name 'shadow*' -o -name 'gshadow*' -o -path '*/private' -o -name '*.key' -o -path '*/sudoers*' -o -path '*/ssh' -o -name machine-id",
    ),
  ).toBe('');
  expect((await box.exec("grep -rl 'PRIVATE KEY-----' /etc")).stdout).toBe('');
  const files = (await box.run('find /etc -type f')).trim().split('\n');
  const generated = ['passwd', 'group', 'hosts', 'hostname', 'resolv.conf', 'nsswitch.conf', 'localtime'].map((name) => `/etc/${name}`);
  const { statSync } = await import('node:fs');
  expect(files.filter((file) => !generated.includes(file) && (statSync(file).mode & 0o004) === 0)).toEqual([]);
  expect(await box.run('cat /etc/hostname; getent passwd | cut -d: -f1')).toBe('cellwall\nroot\nagent\nnobody\n');
  expect(readFileSync('/etc/passwd', 'utf8').split('\n').length).toBeGreaterThan(3);
  expect(await server.close()).toBe(0);
});

describe(`T8 a client that names its roots, as ${mode}`, () => {
  const root = (path: string): string => `file://${path}`;

  it('opens no home and no place of secrets by them', async () => {
    const home = makeHome();
    for (const name of ['.ssh', '.aws', '.config/gh', 'project']) own(join(home.directory, name));
    writeFileSync(join(home.directory, 'project/file'), 'x');
    const roots = ['.ssh', '.aws', '.config/gh', ''].map((name) => root(join(home.directory, name)));
    const server = await startServer({ home, roots: [...roots, root('/'), root('/root'), root('/home'), 'https://example.com/x', 'file:///etc/../root'] });
    for (const context of ['.ssh', '.aws', '.config/gh', ''].map((name) => join(home.directory, name)).concat('/', '/root', '/etc'))
      await refused('CONTEXT_REFUSED', server.call('sandbox_create', { context }));
    expect(await createBox(server, {})).toMatchObject({
      created: { context: null, warnings: expect.arrayContaining([expect.stringMatching(/empty/)]) as string[] },
    });
    expect(await server.close()).toBe(0);
  });

  it('gets the project that they name, and no other', async () => {
    const [one, other] = [1, 2].map((number) => makeDirectory('project', (directory) => writeFileSync(join(directory, `file-${number}`), 'x')));
    const server = await startServer({ roots: [root(one!)] });
    expect(await (await createBox(server, {})).run('ls')).toBe('file-1\n');
    await refused('CONTEXT_REFUSED', server.call('sandbox_create', { context: other }));
    expect(await server.close()).toBe(0);
  });

  it('narrows by them what the operator allowed, and never widens it', async () => {
    const top = makeTrusted();
    for (const name of ['allowed', 'allowed/one', 'allowed/two', 'elsewhere']) own(join(top, name));
    const server = await startServer({ args: ['--allow-root', join(top, 'allowed')], roots: [root(join(top, 'allowed/one')), root(join(top, 'elsewhere'))] });
    await createBox(server, { context: join(top, 'allowed/one') });
    for (const name of ['elsewhere', 'allowed/two', '']) await refused('CONTEXT_REFUSED', server.call('sandbox_create', { context: join(top, name) }));
    expect(await server.close()).toBe(0);
  });
});
