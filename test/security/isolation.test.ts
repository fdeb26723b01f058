import { beforeAll, describe, expect, it } from 'vitest';
import { createBox, shareBoxOf, type Box } from '../e2e/harness/box.ts';
import { mode } from '../e2e/harness/mode.ts';
import { shareServer } from '../e2e/harness/server.ts';
import { sections, sharePolicies } from '../e2e/harness/trusted.ts';

const policies = sharePolicies({ nested: sections({ nested_namespaces: { allow: true } }) });
const server = shareServer(() => ({ args: ['--policies', policies()] }));
const box = shareBoxOf(server);

/** What a wall answers. A malformed attempt would answer EINVAL or EFAULT, and prove nothing. */
const REFUSALS = ['EPERM', 'EACCES', 'ENOSYS', 'ENOENT', 'ENODEV', 'ENOTSUP', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'ENOTTY', 'EROFS', 'ETXTBSY'];

const attempt = async (where: Box): Promise<ReadonlyMap<string, string>> =>
  new Map(
    (await where.python('escape.py'))
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );

describe(`I1 a program tries what it must not, as ${mode}`, () => {
  let outcomes: ReadonlyMap<string, string>;
  beforeAll(async () => {
    outcomes = await attempt(box());
  });

  it.each<readonly [claim: string, attempts: RegExp, count: number]>([
    ['namespaces of its own, by unshare, clone and clone3', /^(unshare|clone3?)_/, 27],
    ['the namespaces of init', /^setns_/, 6],
    ['mounts, the old way and the new one', /^(u?mount|remount|pivot|chroot|fsopen|fspick|open_tree|move_mount)/, 14],
    ['other ids, groups and capabilities', /^(setresuid|setresgid|setgroups|capset)/, 4],
    ['the process and the memory of init', /^(?!setns).*_init$/, 13],
    ['devices of its own and of the host', /^(mknod|(read|write|open)_dev)_/, 8],
    ['the memory, the symbols and the keys of the kernel', /^read_k/, 3],
    ['settings of the kernel', /^write_(core_pattern|modprobe|hostname_file|ip_forward|sysrq|uevent_helper|release_agent.*)$/, 8],
    ['the groups that its commands are ended by', /^(write|list|make)_cgroup/, 3],
    ['the binaries of pid 1 and of itself', /^write_(init|own)_/, 3],
    ['code in the kernel, or another one', /^(init_module|finit_module|delete_module|kexec.*|bpf)$/, 6],
    [
      'the power, the clock, the swap and the name of the machine',
      /^(reboot|swapon|acct|quotactl|settimeofday|clock_settime|sethostname|iopl|ioperm|vhangup)$/,
      10,
    ],
    ['calls that exploits are made of', /^(perf_event_open|userfaultfd|io_uring_setup|open_by_handle_at|fanotify_init)$/, 5],
    ['its terminal’s keyboard and the console', /^tioc/, 2],
    ['sockets below IP, and to the hypervisor', /^(raw_icmp|af_packet|vsock_host)$/, 3],
  ])('%s', (_claim, attempts, count) => {
    const tried = [...outcomes].filter(([name]) => attempts.test(name));
    expect(tried.filter(([, outcome]) => !REFUSALS.includes(outcome))).toEqual([]);
    expect(
      tried.map(([name]) => name),
      'all were made',
    ).toHaveLength(count);
  });

  it('and nothing else: each attempt has its claim here', () => {
    expect([...outcomes].filter(([, outcome]) => !REFUSALS.includes(outcome))).toEqual([]);
    expect(outcomes.size).toBeGreaterThan(100);
  });

  it('and a policy that grants namespaces shows that the attempts are real', async () => {
    const granted = [...(await attempt(await createBox(server(), { context: 'none', policy: 'nested' })))]
      .filter(([, outcome]) => outcome === 'OK')
      .map(([name]) => name);
    expect(granted).toEqual(expect.arrayContaining(['unshare_user', 'unshare_user_mount', 'clone_user', 'clone3_user', 'clone3_user_mount']));
    expect(
      granted.filter((name) => !/^(unshare|clone)/.test(name)),
      'nothing but namespaces is granted',
    ).toEqual([]);
  });
});

describe(`I1 the filter of system calls cannot be undone, as ${mode}`, () => {
  const ways = async (where: Box): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await where.python('undo-filter.py'))
        .trim()
        .split('\n')
        .map((line) => [line.split(' ')[0], line.split(' ')[2]]),
    );

  it('by a tracer, by a filter of the program’s own, or by calls of another convention', async () => {
    const outcomes = await ways(box());
    expect(Object.keys(outcomes).length).toBeGreaterThanOrEqual(7);
    expect(Object.entries(outcomes).filter(([, outcome]) => outcome !== 'nothing')).toEqual([]);
  });

  it('and without it these ways lead out, so they are real', async () => {
    const outcomes = await ways(await createBox(server(), { context: 'none', policy: 'nested' }));
    for (const way of ['a-tracer-at-the-entry', 'a-tracer-of-filters', 'a-tracer-of-filters-that-seizes', 'a-filter-that-allows'])
      expect([way, outcomes[way]]).toEqual([way, 'GAINED']);
  });

  it('and threads and children, which need clone, are made as ever', async () => {
    const code =
      'import threading, subprocess; t = threading.Thread(target=lambda: print("thread")); t.start(); t.join(); print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())';
    expect(await box().run(['python3', '-c', code])).toBe('thread\nchild\n');
    expect(await box().run('(echo subshell); x=$(echo substituted); echo $x; printf "a\\n" | cat')).toBe('subshell\nsubstituted\na\n');
  });
});

describe(`I4 init and the kernel inside are out of reach, as ${mode}`, () => {
  it('killing all that can be killed leaves the sandbox alive', async () => {
    await box().exec('sleep 1000 & exit 0');
    expect(await box().run('kill -9 -1; echo spared; pgrep -c sleep || true')).toBe('spared\n0\n');
    for (const signal of ['TERM', 'KILL', 'STOP', 'HUP', 'USR1']) expect((await box().exec(`kill -${signal} 1`)).stderr).toMatch(/not permitted/);
    expect(await box().run('cat /proc/1/comm')).not.toBe('');
  });

  it('pid 1 belongs to root inside and reaps what others leave', async () => {
    expect(await box().run('stat -c %u /proc/1')).toBe('0\n');
    const zombies = 'import os, time\nfor _ in range(60):\n  if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.wait()';
    await box().run(['python3', '-c', zombies]);
    await expect.poll(() => box().run("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true")).toBe('0\n');
  });
});
