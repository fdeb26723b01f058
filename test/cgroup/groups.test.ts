import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Group, GroupLimits, Groups } from '../../src/cgroup/group.ts';
import { findGroups } from '../../src/cgroup/select.ts';

const LIMITS: GroupLimits = { memory: 64 * 1024 * 1024, cpus: 1.5, pids: 100 };
const V2_FILES = ['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max', 'cgroup.procs', 'cgroup.kill'];

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'cellwall-cgroup-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

// A hierarchy of plain files: what the kernel would do with what is written is not shown by it.
const unified = (place: string, { procs = '' } = {}): { mounts: string; own: string } => {
  mkdirSync(join(root, place), { recursive: true });
  for (let at = join(root, place); at.startsWith(root); at = join(at, '..')) {
    writeFileSync(join(at, 'cgroup.controllers'), 'cpuset cpu io memory pids\n');
    writeFileSync(join(at, 'cgroup.subtree_control'), 'memory\n');
    writeFileSync(join(at, 'cgroup.procs'), at === join(root, place) ? procs : '');
    if (at !== root) writeFileSync(join(at, 'cgroup.type'), 'domain\n');
  }
  return { mounts: `30 23 0:26 / ${root} rw,nosuid - cgroup2 cgroup2 rw`, own: `0::${place}` };
};

const prepared = (directory: string): void => {
  mkdirSync(directory);
  for (const file of V2_FILES) writeFileSync(join(directory, file), '');
};

const demand = (found: ReturnType<typeof findGroups>): Groups => {
  if ('unavailable' in found) throw new Error(found.unavailable);
  return found;
};

const value = (group: string, file: string): string => readFileSync(join(group, file), 'utf8');

describe('groups of cgroup v2', () => {
  test('lie beside the group of a server that holds its own processes, never in it', () => {
    const groups = demand(findGroups(unified('/app.slice/cellwall.scope', { procs: '1\n' })));
    expect(groups.directoriesOf('cellwall-x')).toEqual([join(root, 'app.slice/cellwall-x')]);
  });

  test('hand the missing controllers down and get every limit; the processors only when asked', () => {
    const groups = demand(findGroups(unified('/')));
    const directory = join(root, 'cellwall-x');
    prepared(directory);
    const group = groups.create('cellwall-x', LIMITS);
    expect(value(root, 'cgroup.subtree_control')).toContain('+pids +cpu');
    expect(['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max'].map((file) => value(directory, file))).toEqual(['67108864', '0', '100', '']);
    group.limitCpus();
    expect(value(directory, 'cpu.max')).toBe('150000 100000');
  });

  test('tell processor time and kills for lack of memory', () => {
    const groups = demand(findGroups(unified('/')));
    prepared(join(root, 'cellwall-x'));
    const group = groups.create('cellwall-x', LIMITS);
    writeFileSync(join(root, 'cellwall-x/cpu.stat'), 'usage_usec 1234567\nuser_usec 1\n');
    writeFileSync(join(root, 'cellwall-x/memory.events'), 'low 0\noom 3\noom_kill 2\n');
    expect([group.usage().cpuMs, group.oomKills()]).toEqual([1235, 2]);
  });
});

describe('where there are no groups', () => {
  test('a system without controllers says so', () => {
    expect(findGroups({ mounts: '', own: '' })).toEqual({ unavailable: expect.stringContaining('no control groups') });
  });

  test('a user to whom nothing is delegated is told so', () => {
    const view = unified('/user.slice', { procs: '1\n' });
    writeFileSync(join(root, 'cgroup.type'), 'domain\n');
    writeFileSync(join(root, 'cgroup.procs'), '7\n');
    expect(findGroups(view)).toEqual({ unavailable: expect.stringContaining('delegated') });
  });
});

// The real thing, where this machine lets us.
const real = findGroups();
const why = 'unavailable' in real ? real.unavailable : process.getuid!() === 0 ? null : 'only root makes groups here';

describe.skipIf(why !== null)(`groups of this machine${why === null ? '' : ` (skipped: ${why})`}`, () => {
  let group: Group;
  const name = `cellwall-cw-test${process.pid}`;
  afterEach(() => group.remove());

  test('are made with their limits, can be entered, and are gone after remove', async () => {
    group = demand(real).create(name, LIMITS);
    expect(group.entrances.every((file) => existsSync(file))).toBe(true);
    group.limitCpus();
    expect(group.oomKills()).toBe(0);
    await group.remove();
    expect(
      demand(real)
        .directoriesOf(name)
        .some((directory) => existsSync(directory)),
    ).toBe(false);
    await group.remove();
  });
});
