import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../src/oci/compile.ts';
import type { Placement } from '../../src/oci/placement.ts';
import type { Spec } from '../../src/oci/spec.ts';
import { loadPolicies } from '../../src/policy/load.ts';
import { absolutePathRefusal, isWithin } from '../../src/policy/places.ts';
import { tighten } from '../../src/policy/resolve.ts';
import { policies, variables } from '../policy/arbitraries.ts';

const shipped = loadPolicies({ shippedDirectory: new URL('../../policies', import.meta.url).pathname, allowedRoots: [] });

const ids = fc.integer({ min: 0x70000000, max: 0x7fffffff }).map((root) => ({ root, agent: root + 1 }));
const placements: fc.Arbitrary<Placement> = fc.record({
  root: fc.constantFrom('/state/sandboxes/a/root', '/run/user/1000/cellwall/b/root'),
  init: fc.constant(['/run/cellwall/init']),
  ids: fc.option(ids, { nil: null }),
  env: variables,
  shm: fc.constantFrom('/state/sandboxes/a/shm', '/run/user/1000/cellwall/b/root/dev/shm'),
});

describe('the spec of a shipped policy', () => {
  const placement: Placement = { root: '/state/a/root', init: ['/run/cellwall/init'], ids: null, env: { LANG: 'de_DE.UTF-8' }, shm: '/state/a/shm' };

  test.each(shipped.names)('%s is the golden one, in a user namespace of the server', async (name) => {
    await expect(`${JSON.stringify(compile(shipped.get(name), placement), null, 2)}\n`).toMatchFileSnapshot(`golden/${name}.json`);
  });

  test.each(shipped.names)('%s is the golden one, with ids of the host', async (name) => {
    const spec = compile(shipped.get(name), { ...placement, ids: { root: 0x70000000, agent: 0x70000001 } });
    await expect(`${JSON.stringify(spec, null, 2)}\n`).toMatchFileSnapshot(`golden/${name}.ids.json`);
  });
});

test('the same input gives the same bytes', () => {
  fc.assert(
    fc.property(policies, placements, (policy, placement) => {
      expect(JSON.stringify(compile(structuredClone(policy), structuredClone(placement)))).toBe(JSON.stringify(compile(policy, placement)));
    }),
  );
});

describe('tightening', () => {
  const granted = (spec: Spec): string[] => [
    ...spec.mounts.map((mount) => `mount ${JSON.stringify(mount)}`),
    ...Object.entries(spec.process.capabilities).flatMap(([set, held]) => held.map((capability) => `${set} ${capability}`)),
    ...spec.linux.devices.map(({ path }) => path),
  ];
  const refused = (spec: Spec): string[] => spec.linux.seccomp.syscalls.map((rule) => JSON.stringify(rule));
  const expectTighter = (tight: Spec, loose: Spec): void => {
    expect(granted(loose)).toEqual(expect.arrayContaining(granted(tight)));
    expect(tight.linux.seccomp.defaultAction).toBe(loose.linux.seccomp.defaultAction);
    expect(refused(tight)).toEqual(expect.arrayContaining(refused(loose)));
    for (const path of [...loose.linux.maskedPaths, ...loose.linux.readonlyPaths])
      expect([...tight.linux.maskedPaths, ...tight.linux.readonlyPaths]).toContain(path);
    const { memory, cpu, pids } = tight.linux.resources;
    expect(memory.limit).toBeLessThanOrEqual(loose.linux.resources.memory.limit);
    expect(cpu.quota / cpu.period).toBeLessThanOrEqual(loose.linux.resources.cpu.quota / loose.linux.resources.cpu.period);
    expect(pids.limit).toBeLessThanOrEqual(loose.linux.resources.pids.limit);
    for (const [index, { hard }] of tight.process.rlimits.entries()) expect(hard).toBeLessThanOrEqual(loose.process.rlimits[index]!.hard);
  };

  test('by a request never adds a mount, a capability, a device, a system call or a resource', () => {
    fc.assert(
      fc.property(policies, placements, fc.double({ min: 0.001, max: 1, noNaN: true }), (policy, placement, part) => {
        const less = (limit: number): number => Math.ceil(limit * part);
        const { memory_mb, cpus, pids } = policy.limits;
        const tight = tighten(policy, { limits: { memory_mb: less(memory_mb), cpus: cpus * part, pids: less(pids) } });
        expectTighter(compile(tight, placement), compile(policy, placement));
      }),
    );
  });

  test('by taking nested namespaces away never adds any either', () => {
    fc.assert(
      fc.property(policies, placements, (policy, placement) => {
        const [loose, tight] = [true, false].map((allow) => compile({ ...policy, nested_namespaces: { allow, why: 'x' } }, placement));
        expectTighter(tight!, loose!);
        expect(refused(tight!).length).toBeGreaterThan(refused(loose!).length);
      }),
    );
  });
});

describe('paths', () => {
  test('inside are absolute and normal, and the only places of the host are the tree and /dev/shm', () => {
    fc.assert(
      fc.property(policies, placements, (policy, placement) => {
        const { root, mounts, linux, process } = compile(policy, placement);
        const inside = [
          ...mounts.map(({ destination }) => destination),
          ...linux.devices.map(({ path }) => path),
          ...linux.maskedPaths,
          ...linux.readonlyPaths,
          process.cwd,
          process.args[0]!,
        ];
        expect(inside.filter((path) => absolutePathRefusal(path) !== undefined)).toEqual([]);
        expect([root.path, ...mounts.filter(({ options }) => options.includes('bind')).map(({ source }) => source)]).toEqual([placement.root, placement.shm]);
        expect(mounts.map(({ destination }) => destination)).toEqual(['/proc', '/dev/shm', '/sys']);
      }),
    );
  });

  test('of devices lie in /dev, and no mount lets a device or a setuid bit count', () => {
    fc.assert(
      fc.property(policies, placements, (policy, placement) => {
        const { mounts, linux } = compile(policy, placement);
        expect(linux.devices.every(({ path }) => isWithin(path, '/dev'))).toBe(true);
        for (const { options } of mounts) expect(options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'noexec']));
      }),
    );
  });
});

test('no other id of the host is mapped than the two of the sandbox, and none where the server has a namespace of its own', () => {
  fc.assert(
    fc.property(policies, placements, (policy, placement) => {
      const { namespaces, uidMappings, gidMappings } = compile(policy, placement).linux;
      expect(namespaces.map(({ type }) => type)).toEqual(['pid', 'network', 'ipc', 'uts', 'mount', ...(placement.ids === null ? [] : ['user'])]);
      const mapped = placement.ids && [
        { containerID: 0, hostID: placement.ids.root, size: 1 },
        { containerID: 1000, hostID: placement.ids.agent, size: 1 },
      ];
      expect([uidMappings ?? null, gidMappings ?? null]).toEqual([mapped, mapped]);
    }),
  );
});
