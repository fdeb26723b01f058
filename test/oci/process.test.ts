import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { processOf, programEnvironment } from '../../src/oci/process.ts';
import { policies, variables } from '../policy/arbitraries.ts';

const placement = { root: '/r', shm: '/s', init: ['/run/cellwall/init'], ids: null, env: {} };

describe('the environment of a program', () => {
  test('is ours, then the policy’s, then the request’s, and later wins', () => {
    fc.assert(
      fc.property(policies, variables, (policy, request) => {
        const own = programEnvironment({ ...policy, env: { vars: {}, why: 'x' } }, {});
        expect(Object.keys(own)).toEqual(['PATH', 'HOME', 'USER', 'LANG', 'TERM']);
        expect(programEnvironment(policy, request)).toEqual({ ...own, ...policy.env.vars, ...request });
      }),
    );
  });

  test('finds the programs of each toolchain first', () => {
    fc.assert(
      fc.property(policies, ({ rootfs, ...rest }) => {
        const path = programEnvironment({ ...rest, rootfs, env: { vars: {}, why: 'x' } }, {})['PATH'];
        expect(path).toBe(
          [...rootfs.toolchains.map((toolchain) => `${toolchain.path}/bin`), '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'].join(':'),
        );
      }),
    );
  });

  test('holds nothing of the server’s own', () => {
    process.env['CELLWALL_TEST_SECRET'] = 'x';
    const [policy] = fc.sample(policies, 1);
    expect(JSON.stringify(programEnvironment(policy!, {}))).not.toContain('CELLWALL_TEST_SECRET');
    delete process.env['CELLWALL_TEST_SECRET'];
  });
});

describe('pid 1', () => {
  test('starts as the agent with three capabilities and can gain no other', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const { user, capabilities, noNewPrivileges, terminal, cwd, args } = processOf(policy, placement);
        expect({ user, noNewPrivileges, terminal, cwd, args }).toEqual({
          user: { uid: 1000, gid: 1000, umask: 0o022 },
          noNewPrivileges: true,
          terminal: false,
          cwd: '/',
          args: placement.init,
        });
        for (const held of Object.values(capabilities)) expect(held).toEqual(['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP']);
      }),
    );
  });

  test('leaves no core file and no more processes than the policy allows', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const limits = Object.fromEntries(processOf(policy, placement).rlimits.map(({ type, soft, hard }) => [type, [soft, hard]]));
        const { pids } = policy.limits;
        expect(limits).toEqual({ RLIMIT_NOFILE: [65_536, 65_536], RLIMIT_NPROC: [pids, pids], RLIMIT_MEMLOCK: [65_536, 65_536], RLIMIT_CORE: [0, 0] });
      }),
    );
  });
});
