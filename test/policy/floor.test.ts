import { expect, test } from 'vitest';
import fc from 'fast-check';
import { excessOf, withFloor } from '../../src/policy/floor.ts';
import type { Floor, Policy } from '../../src/policy/profile.ts';
import { policies } from './arbitraries.ts';

const [some] = fc.sample(policies, 1);
const policy: Policy = {
  ...some!,
  runtime: { name: 'native', platform: 'systrap', why: 'x' },
  rootfs: { source: '/srv/debian', toolchains: [{ path: '/opt/go/1.24', why: 'x' }], why: 'x' },
  binds: [{ source: '/srv/models/big', destination: '/models', mode: 'read-write', why: 'x' }],
  workspace: { mode: 'copy', layout: 'plain', why: 'x' },
  context: { ...some!.context, include: ['.env'], max_files: 10 },
  lifetime: { ttl_s: 10, idle_s: 10, exec_timeout_ms: 10, why: 'x' },
  env: { vars: { CI: '1' }, why: 'x' },
  nested_namespaces: { allow: true, why: 'x' },
};
const bind = (source: string, mode: 'read-only' | 'read-write') => ({ binds: [{ source, destination: '/elsewhere', mode, why: 'x' }] });

test.each<[string, Omit<Floor, 'name'>, string]>([
  ['a weaker runtime', { runtime: { name: 'gvisor', why: 'x' } }, 'runtime.name'],
  ['another rootfs', { rootfs: { source: 'host', why: 'x' } }, 'rootfs.source'],
  ['a toolchain that it does not name', { rootfs: { toolchains: [{ path: '/opt/g', why: 'x' }], why: 'x' } }, 'rootfs.toolchains'],
  ['any bind where it has none', { binds: [] }, 'binds'],
  ['a bind from beside its own', bind('/srv/mod', 'read-write'), 'binds'],
  ['a bind that writes where its own does not', bind('/srv/models', 'read-only'), 'binds'],
  ['a workspace that can be written', { workspace: { mode: 'read-only', why: 'x' } }, 'workspace.mode'],
  ['another layout of the workspace', { workspace: { layout: 'overlay', why: 'x' } }, 'workspace.layout'],
  ['a secret that it does not name', { context: { include: [], why: 'x' } }, 'context.include'],
  ['a larger context', { context: { max_files: 9, why: 'x' } }, 'context.max_files'],
  ['a longer life', { lifetime: { ttl_s: 9, why: 'x' } }, 'lifetime.ttl_s'],
  ['a longer idle time', { lifetime: { idle_s: 9, why: 'x' } }, 'lifetime.idle_s'],
  ['a longer exec', { lifetime: { exec_timeout_ms: 9, why: 'x' } }, 'lifetime.exec_timeout_ms'],
  ['a variable that it does not name', { env: { vars: { PATH: '' }, why: 'x' } }, 'env.vars'],
  ['namespaces', { nested_namespaces: { allow: false, why: 'x' } }, 'nested_namespaces.allow'],
])('a floor is exceeded by %s', (_, floor, field) => {
  expect(excessOf(policy, { name: 'floor', ...floor })?.field).toBe(field);
});

test.each<[string, Omit<Floor, 'name'>]>([
  ['what it does not mention', {}],
  ['a section of which it gives another field', { context: { max_mb: 2 ** 30, why: 'x' } }],
  ['a toolchain below its own', { rootfs: { toolchains: [{ path: '/opt/go', why: 'x' }], why: 'x' } }],
  ['a bind below its own', bind('/srv/models', 'read-write')],
  ['a variable of another value', { env: { vars: { CI: 'other' }, why: 'x' } }],
  ['any layout', { workspace: { layout: 'auto', why: 'x' } }],
  ['the same runtime', { runtime: { name: 'native', why: 'x' } }],
])('a floor is not exceeded by %s', (_, floor) => {
  expect(excessOf(policy, { name: 'floor', ...floor })).toBeUndefined();
});

test('a floor chooses the layout of a workspace where the policy leaves it open', () => {
  const layoutOf = (own: Policy['workspace']['layout'], floor: Omit<Floor, 'name'>) =>
    withFloor({ ...policy, workspace: { ...policy.workspace, layout: own } }, { name: 'floor', ...floor }).workspace.layout;
  expect(layoutOf('auto', { workspace: { layout: 'overlay', why: 'x' } })).toBe('overlay');
  expect(layoutOf('auto', { workspace: { mode: 'copy', why: 'x' } })).toBe('auto');
  expect(layoutOf('plain', {})).toBe('plain');
});
