import { describe, expect, test } from 'vitest';
import { censusProgram, gateProgram, killProgram, populatedIn } from '../../../src/runtime/gvisor/gate.ts';
import { INIT } from '../../../src/runtime/gvisor/init.ts';

const GATE = { group: 'ex_1', stale: ['ex_0'], cwd: '/workspace', argv: ['make', 'test'], env: { PATH: '/usr/bin:/bin', HOME: '/home/agent' } };

describe('pid 1', () => {
  test('gives everything up before it waits, and ends on everything but an interruption', () => {
    const calls = INIT.map(({ call, restart }) => (restart ? `${call} again` : call));
    expect([...new Set(calls)]).toEqual(['rt_sigaction', 'prctl', 'setgroups', 'setresgid', 'setresuid', 'capset', 'fchmodat', 'read again', 'exit_group']);
  });

  test('demands every step but hiding the cgroups, which older runtimes do not have', () => {
    expect(INIT.filter(({ mayFail }) => mayFail).map(({ call }) => call)).toEqual(['fchmodat']);
  });
});

describe('the gate', () => {
  test('is the same bytes for the same command', () => {
    expect(gateProgram(GATE).bytes.equals(gateProgram(GATE).bytes)).toBe(true);
  });

  test('tells which step failed, in words of the command', () => {
    const { bytes, failureOf } = gateProgram(GATE);
    const failures = new Set<string>();
    // Whatever entry a report names: it is an address in the program's data.
    for (let offset = 0; offset < bytes.length; offset += 8) {
      const report = Buffer.alloc(16);
      report.writeBigUInt64LE(0x600000n + BigInt(offset), 0);
      report.writeBigInt64LE(-2n, 8);
      failures.add(failureOf(report).message);
    }
    expect(failures).toContain('the directory "/workspace" cannot be entered: it does not exist');
    expect(failures).toContain('the program "make" cannot be started: it does not exist');
  });

  test('holds the whole command line and environment, and a name with a slash is not looked up', () => {
    const { bytes } = gateProgram({ ...GATE, argv: ['./run', 'ü'] });
    for (const text of ['./run\0', 'ü\0', 'HOME=/home/agent\0']) expect(bytes.includes(text)).toBe(true);
    expect(bytes.includes('/usr/bin/./run')).toBe(false);
  });
});

test('a census names the groups in which something lives', () => {
  expect(populatedIn('\nex_1 populated 1\nfrozen 0\n\nex_2 populated 0\nfrozen 0\n\nex_3 ')).toEqual(['ex_1']);
  expect(censusProgram(['ex_1']).includes('/sys/fs/cgroup/ex_1/cgroup.events')).toBe(true);
});

test('a kill names its group alone', () => {
  expect(killProgram('ex_1').includes('/sys/fs/cgroup/ex_1/cgroup.kill')).toBe(true);
});
