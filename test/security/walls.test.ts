/** What a program inside is and is not, and what its sandbox is on the host. */
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeHome } from '../e2e/harness/home.ts';
import { NOTHING, processesOf, watchHost } from '../e2e/harness/looks.ts';
import { mode, user } from '../e2e/harness/mode.ts';
import { startServer, type Server } from '../e2e/harness/server.ts';

const serve = async (env: Record<string, string> = {}): Promise<{ server: Server; sh: (command: string) => Promise<string>; context: string }> => {
  const home = makeHome();
  const look = watchHost(home);
  // Not below /tmp: a path there means something else inside.
  const context = mkdtempSync(join(process.getuid!() === 0 ? '/var/lib' : homedir(), 'cellwall-test-'));
  onTestFinished(() => rmSync(context, { recursive: true }));
  chownSync(context, user.uid, user.gid);
  const server = await startServer({ home, env, args: ['--context', context] });
  onTestFinished(async () => {
    look();
    await server.close();
    expect(look()).toEqual(NOTHING);
  });
  const sandbox_id = String((await server.call('sandbox_create'))['sandbox_id']);
  const sh = async (command: string): Promise<string> => {
    const { stdout, stderr } = await server.call('sandbox_exec', { sandbox_id, command, max_output_bytes: 100_000 });
    return `${String(stdout)}${String(stderr)}`;
  };
  return { server, sh, context };
};

const field = (status: string, name: string): string | undefined => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1];

describe(`a program in a sandbox, server as ${mode}`, () => {
  it('is the user agent without a capability, under the kernel of gVisor, with a loopback and nothing else', async () => {
    const { sh, context } = await serve({ AWS_SECRET_ACCESS_KEY: 'canary', CELLWALL_ENCLOSED: '1:1' });
    expect(await sh('id -u; id -un; id -gn; hostname; umask; pwd; echo $HOME $USER $LANG')).toBe(
      '1000\nagent\nagent\ncellwall\n0022\n/workspace\n/home/agent agent C.UTF-8\n',
    );
    const status = await sh('cat /proc/self/status');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect([set, field(status, set)]).toEqual([set, '0000000000000000']);
    expect(field(status, 'NoNewPrivs')).toBe('1');
    expect(await sh('cat /proc/version')).toContain('gvisor');
    expect(await sh('cat /proc/version')).not.toBe(readFileSync('/proc/version', 'utf8'));
    expect(await sh("sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev")).toBe('lo\n');
    expect(await sh('env; tr "\\0" "\\n" < /proc/1/environ')).not.toMatch(/canary|CELLWALL|NODE_|XDG_/);
    expect(await sh('ls /proc/self/fd | wc -l')).toBe('4\n'); // 0, 1, 2 and the one that lists them
    expect(await sh(`readlink ${context}`)).toBe('/workspace\n');
    expect(JSON.parse(await sh('cat /run/cellwall/policy.json'))).toMatchObject({ name: 'offline', network: { mode: 'none', why: expect.any(String) } });
  });

  it('gains nothing by namespaces, mounts or tracing, and cannot reach pid 1', async () => {
    const { sh } = await serve();
    for (const command of [
      'unshare -Ur true',
      'unshare -m true',
      'unshare -n true',
      'mount -t tmpfs x /tmp',
      'chroot / true',
      'kill -9 1',
      'nsenter -t 1 -m true',
    ])
      expect([command, await sh(`${command}; echo $?`)]).toEqual([command, expect.not.stringMatching(/^0\n$/m)]);
    expect(await sh('sleep 0; kill -0 1 2>&1; cat /proc/1/mem 2>&1 | head -c 1; ls /sys/fs/cgroup')).toMatch(/not permitted.*denied/s);
    expect(
      await sh(`python3 -c '
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
    print(libc.syscall(56, flag | 17, 0, 0, 0, 0), ctypes.get_errno())
print(libc.syscall(101, 24, 0, 0, 0), ctypes.get_errno())'`),
    ).toBe('-1 1\n'.repeat(8));
  });

  it('writes its own places only, each as large as its policy says and the same inside and outside', async () => {
    const { sh } = await serve();
    expect(await sh('for d in / /etc /usr /run /run/cellwall /var /opt /root; do touch $d/x 2>/dev/null && echo "$d is writable"; done')).toBe('');
    // Sizes in MiB, as the tmpfs of the host has them: a file system of the runtime's own would have another.
    expect(await sh("for d in /workspace /tmp /home/agent /dev/shm; do stat -f -c '%b %S' $d; done | while read b s; do echo $((b * s / 1048576)); done")).toBe(
      '2048\n512\n256\n64\n',
    );
    expect(await sh('head -c 100000000 /dev/zero > /dev/shm/x; echo $?')).toContain('No space left on device');
    expect(await sh('i=0; while [ $i -lt 20000 ]; do : > /dev/shm/f$i || break; i=$((i + 1)); done 2>&1; [ $i -lt 20000 ] && echo bounded')).toContain(
      'bounded',
    );
  });

  it('reaches no one: not the network, not a server on the host', async () => {
    const { sh } = await serve();
    const listener = createServer((socket) => socket.end('hello'));
    await new Promise<void>((resolve) => listener.listen(0, '0.0.0.0', resolve));
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as AddressInfo;
    expect(
      await sh(
        `for a in 127.0.0.1 1.1.1.1 169.254.169.254 10.0.0.1; do (exec 3<>/dev/tcp/$a/${port}) 2>/dev/null && echo "reached $a"; done; getent hosts example.com; true`,
      ),
    ).toBe('');
  });
});

describe(`a sandbox on the host, server as ${mode}`, () => {
  it('is nobody: neither root nor one with a capability over the host', async () => {
    const { server } = await serve();
    const sandbox = processesOf(server).map(({ pid }) => ({ pid, status: readFileSync(`/proc/${pid}/status`, 'utf8') }));
    expect(sandbox.length).toBeGreaterThanOrEqual(2);
    const ids = new Set(sandbox.flatMap(({ status }) => [field(status, 'Uid'), field(status, 'Gid')].flatMap((line) => line?.split(/\s+/).map(Number) ?? [])));
    for (const id of ids) expect(mode === 'root' ? id >= 0x7000_0000 : id === user.uid).toBe(true);
    // Capabilities in another user namespace are none over this one.
    const own = readFileSync('/proc/self/uid_map', 'utf8');
    for (const { pid } of sandbox) expect(readFileSync(`/proc/${pid}/uid_map`, 'utf8')).not.toBe(own);
  });
});
