import { lstatSync, mkdirSync, readFileSync, realpathSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBox, shareBox } from './harness/box.ts';
import { mountsOf } from './harness/looks.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';
import { shareServer } from './harness/server.ts';
import { sections, sharePolicies, shareTrusted } from './harness/trusted.ts';

const CANARY = 'canary-of-the-server';
const SIZES = { '/workspace': 24, '/tmp': 16, '/home/agent': 12, '/dev/shm': 8 } as const;
const policies = sharePolicies({
  looker: sections({ workspace: { mode: 'read-only' } }),
  small: {
    ...sections({
      limits: { disk_mb: SIZES['/workspace'], tmp_mb: SIZES['/tmp'], home_mb: SIZES['/home/agent'], shm_mb: SIZES['/dev/shm'] },
      env: { vars: { FROM_POLICY: 'policy', BOTH: 'policy' } },
    }),
  },
});

// Not below the temporary directory: there a path of the host means nothing inside.
const context = shareTrusted((directory) => {
  mkdirSync(join(directory, 'sub'));
  writeFileSync(join(directory, 'sub/tool'), '#!/bin/sh\necho ran "$@"\n', { mode: 0o755 });
  writeFileSync(join(directory, 'set-id'), '', { mode: 0o755 });
});

const box = shareBox(
  () => ({ policy: 'small', env: { BOTH: 'create' } }),
  () => ({
    args: ['--context', context(), '--policies', policies()],
    env: { CANARY, NODE_OPTIONS: '--max-old-space-size=300', LD_LIBRARY_PATH: `/${CANARY}`, LC_ALL: 'de_DE.UTF-8' },
  }),
);

describe(`what a program sees, as ${mode}`, () => {
  it('is the user agent without any privilege, on gVisor’s kernel', async () => {
    expect(await box().run('id -u; id -g; id -G; id -un; umask; hostname; pwd; cat /proc/sys/kernel/hostname')).toBe(
      '1000\n1000\n1000\nagent\n0022\ncellwall\n/workspace\ncellwall\n',
    );
    const status = await box().run('grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status');
    const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}:\t0000000000000000\n`);
    expect(status).toBe(`${sets.join('')}NoNewPrivs:\t1\nSeccomp:\t2\n`);
    expect(await box().run('cat /proc/version; dmesg 2>/dev/null | head -1 || true')).toMatch(/gvisor/i);
    expect((await box().exec('unshare -Ur true')).stderr).toMatch(/unshare failed: Operation not permitted/);
  });

  it('is this environment and nothing else: ours, the policy’s, that of create, that of exec, later wins', async () => {
    const expected = {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/home/agent',
      USER: 'agent',
      LANG: 'C.UTF-8',
      TERM: expect.any(String) as string,
      FROM_POLICY: 'policy',
      BOTH: 'exec',
    };
    const environment = async (params: object): Promise<unknown> => {
      const { stdout } = await box().exec(['env', '-0'], { env: { BOTH: 'exec' }, ...params });
      return Object.fromEntries(
        stdout
          .split('\0')
          .filter(Boolean)
          .map((line) => line.split('=')),
      );
    };
    expect(await environment({})).toEqual(expected);
    expect(await environment({ tty: true })).toEqual(expected);
    expect(await box().run('echo $BOTH')).toBe('create\n');
  });

  it('holds nothing of the server’s environment, neither in a process nor in a file that is written for it', async () => {
    const search = 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /run/cellwall/policy.json /etc/* > /tmp/all 2> /dev/null; grep -a -c -f - /tmp/all';
    expect((await box().exec(search, { stdin: `${CANARY}\n` })).stdout).toBe('0\n');
    expect((await box().exec(search, { stdin: 'HOME=/home/agent\n' })).stdout).not.toBe('0\n');
  });

  it('has the descriptors 0 to 2 and no other, with pipes and on a terminal', async () => {
    const list = ['python3', '-c', 'import os; print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])']; // the last one is the listing's own
    for (const params of [{}, { tty: true }, { keep_stdin: true, stdin: '' }, { stdin: 'x' }])
      expect((await box().exec(list, { ...params, wait_ms: 2000 })).stdout.trim()).toBe('[0, 1, 2]');
  });

  it('is a process of its own session, whose signals are as a program expects them', async () => {
    expect((await box().exec(['env', '--list-signal-handling', 'true'])).stderr).toBe('');
    expect(await box().run('ulimit -c; ulimit -n')).toBe('0\n65536\n');
  });

  it('is only `lo`, with both addresses', async () => {
    expect(await box().run('tail -n +3 /proc/net/dev | cut -d: -f1')).toBe('    lo\n');
    const serve =
      'import socket\nfor f, a in ((2, "127.0.0.1"), (10, "::1")):\n s = socket.socket(f); s.bind((a, 0)); s.listen(); c = socket.create_connection(s.getsockname()[:2]); print("met")';
    expect(await box().run(['python3', '-c', serve])).toBe('met\nmet\n');
  });

  it('is its policy, each grant with its reason', async () => {
    const policy = JSON.parse(await box().run('cat /run/cellwall/policy.json')) as Record<string, { why?: string }>;
    expect(policy).toMatchObject({ name: 'small', limits: { disk_mb: 24, tmp_mb: 16 }, network: { mode: 'none' } });
    for (const section of ['runtime', 'network', 'rootfs', 'workspace', 'context', 'limits', 'lifetime', 'env', 'nested_namespaces'])
      expect(policy[section]?.why, section).toMatch(/\S/);
  });

  it('is the project under its own path on the host, too', async () => {
    expect(await box().run(`readlink ${context()}; ${context()}/sub/tool it; cd ${context()} && pwd -P`)).toBe('/workspace\nran it\n/workspace\n');
  });
});

describe(`the places of a sandbox, as ${mode}`, () => {
  const places = Object.keys(SIZES) as (keyof typeof SIZES)[];

  it('that can be written are these, each the same mount inside and on the host, of the policy’s size', async () => {
    const inside = (await box().python('statvfs.py', ...places))
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect(inside.map(([path, size, , , bits, uid]) => [path, Number(size), bits, uid])).toEqual(
      places.map((path) => [path, SIZES[path] * 1024 * 1024, { '/workspace': '755', '/home/agent': '700' }[path as string] ?? '1777', '1000']),
    );
    const root = mountsOf(box().server.pid)
      .find((point) => point.endsWith('/root/workspace'))
      ?.slice(0, -'/workspace'.length);
    if (process.getuid!() !== 0) return; // the mount namespace of the server is closed to others
    for (const [path = '', size, inodes] of inside) {
      await box().run(`head -c 100000 /dev/zero > ${path}/same-mount`);
      const place = `/proc/${box().server.pid}/root${root}${path}`;
      expect(statSync(`${place}/same-mount`).size).toBe(100_000);
      const { blocks, bsize, files } = statfsSync(place);
      expect([blocks * bsize, files], path).toEqual([Number(size), Number(inodes)]);
    }
  });

  it('are full at their size and at their number of files, with ENOSPC, and empty again afterwards', async () => {
    for (const path of places) {
      const [bytes, why] = (await box().python('fill.py', 'bytes', path)).trim().split(' ');
      expect([why, Number(bytes) > (SIZES[path] - 1) * 1024 * 1024, Number(bytes) <= SIZES[path] * 1024 * 1024], path).toEqual(['ENOSPC', true, true]);
    }
    for (const path of ['/dev/shm', '/home/agent']) {
      const [files, why] = (await box().python('fill.py', 'inodes', path)).trim().split(' ');
      expect([why, Number(files) < 10_000], path).toEqual(['ENOSPC', true]);
    }
    expect(await box().run('echo works > /dev/shm/again; cat /dev/shm/again')).toBe('works\n');
  });

  it('else are read-only', async () => {
    const dirs = [
      '/',
      '/usr',
      '/usr/bin',
      '/usr/local',
      '/etc',
      '/run',
      '/run/cellwall',
      '/var',
      '/home',
      '/root',
      '/opt',
      '/mnt',
      '/srv',
      '/dev',
      '/proc',
      '/sys',
    ];
    for (const dir of dirs)
      expect((await box().exec(['touch', `${dir}/cellwall-was-here`])).stderr, dir).toMatch(/Read-only file system|Permission denied|No such file/);
    for (const file of ['/etc/passwd', '/etc/hosts', '/usr/bin/env', '/run/cellwall/init', '/run/cellwall/policy.json'])
      expect((await box().exec(`exec 3>>${file}`)).stderr, file).toMatch(/Read-only file system|Permission denied/);
    expect(await box().python('write-everywhere.py', ...places)).toBe('done\n');
  });

  it('honour no set-user-id bit and no device', async () => {
    await box().run('cp /usr/bin/id /workspace/set-id && chmod 6755 /workspace/set-id');
    expect(await box().run('./set-id -u')).toBe('1000\n');
    const options = readFileSync(process.getuid!() === 0 ? `/proc/${box().server.pid}/mountinfo` : '/dev/null', 'utf8').split('\n');
    const ours = options.filter((line) => /\/root(\/| )/.test(line.split(' ')[4] + ' ') && line.includes('cw-'));
    for (const line of ours) expect(line.split(' ')[5], line).toMatch(/nosuid.*nodev/);
  });

  it('leave the project on the host as it was', async () => {
    const before = [lstatSync(join(context(), 'set-id')), readFileSync(join(context(), 'sub/tool'), 'utf8')];
    await box().run('rm -rf /workspace/sub; echo changed > set-id; echo new > new');
    const after = [lstatSync(join(context(), 'set-id')), readFileSync(join(context(), 'sub/tool'), 'utf8')];
    expect(after).toEqual(before);
    expect(realpathSync(context())).toBe(context());
  });
});

describe(`a policy whose workspace is read-only, as ${mode}`, () => {
  const server = shareServer(() => ({ args: ['--context', context(), '--policies', policies()] }));

  it('shows the copy, and lets neither a command nor a write change it', async () => {
    const looker = await createBox(server(), { policy: 'looker' });
    expect(await looker.run('./sub/tool x; cd /tmp && touch mine && ls')).toBe('ran x\nmine\n');
    const { stderr } = await looker.exec('touch new; rm -f sub/tool; echo >> sub/tool; touch set-id');
    expect(stderr.match(/Read-only file system/g)).toHaveLength(4);
    // gVisor says yes to this, and the host does nothing.
    expect(await looker.run('chmod 0 sub; stat -c %a sub')).toBe('755\n');
    const error = await refused('PATH_REFUSED', server().call('sandbox_write', { sandbox_id: looker.id, path: 'new', content: 'x' }));
    expect(error.message).toMatch(/read-only/);
    expect((await looker.read('.'))['entries']).toMatchObject([{ name: 'set-id' }, { name: 'sub' }]);
  });
});
