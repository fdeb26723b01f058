import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seccompOf } from '../../src/oci/seccomp.ts';
import type { Seccomp, SeccompAction } from '../../src/oci/spec.ts';
import type { Policy } from '../../src/policy/profile.ts';
import { policies } from '../policy/arbitraries.ts';

const [some] = fc.sample(policies, 1);
const policy = (name: 'gvisor' | 'native', allow: boolean): Policy => ({
  ...some!,
  runtime: { name, platform: 'systrap', why: 'x' },
  nested_namespaces: { allow, why: 'x' },
});

/** What a kernel answers: the first rule that holds, as runc and gVisor read the list. */
const answerOf = ({ syscalls, defaultAction }: Seccomp, name: string, ...args: bigint[]): SeccompAction =>
  syscalls.find(
    (rule) => rule.names.includes(name) && (rule.args ?? []).every(({ index, value, valueTwo }) => ((args[index] ?? 0n) & BigInt(value)) === BigInt(valueTwo)),
  )?.action ?? defaultAction;

const CLONE_NEW = [0x00020000n, 0x02000000n, 0x04000000n, 0x08000000n, 0x10000000n, 0x20000000n, 0x40000000n];
/** What pthread_create and fork of glibc ask clone for. */
const THREAD = 0x3d0f00n;
const FORK = 0x1200011n;
const [PTRACE_CONT, PTRACE_SINGLESTEP, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_SYSCALL, PTRACE_SETOPTIONS, PTRACE_SEIZE] = [
  7n,
  9n,
  13n,
  16n,
  24n,
  0x4200n,
  0x4206n,
];
const PTRACE_O_TRACESECCOMP = 0x80n;

const runtimes = ['gvisor', 'native'] as const;
/** gVisor asks for a capability for all others, which programs inside do not have (test/security tries them). */
const FLAGS = { gvisor: [CLONE_NEW[0]!, CLONE_NEW[4]!], native: CLONE_NEW };

describe.each(runtimes)('in %s', (runtime) => {
  const filter = seccompOf(policy(runtime, false));

  test.each(['unshare', 'setns'])('%s is refused', (name) => {
    expect(answerOf(filter, name, 0n)).toBe('SCMP_ACT_ERRNO');
  });

  test('clone is refused with each flag that makes a namespace without privilege, whatever others come with it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLAGS[runtime]), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (flag, others) => {
        expect(answerOf(filter, 'clone', flag | others)).toBe('SCMP_ACT_ERRNO');
      }),
    );
  });

  test('clone without such a flag makes processes and threads', () => {
    expect([THREAD, FORK].map((flags) => answerOf(filter, 'clone', flags))).toEqual(['SCMP_ACT_ALLOW', 'SCMP_ACT_ALLOW']);
  });

  test('ordinary calls and a debugger’s are allowed', () => {
    const ordinary = [
      'read',
      'openat',
      'execve',
      'fork',
      'vfork',
      'socket',
      'chroot',
      'seccomp',
      'prctl',
      'personality',
      'process_vm_readv',
      'name_to_handle_at',
    ];
    expect(ordinary.map((name) => answerOf(filter, name))).toEqual(ordinary.map(() => 'SCMP_ACT_ALLOW'));
    for (const request of [PTRACE_CONT, PTRACE_SINGLESTEP, PTRACE_SETREGS, PTRACE_ATTACH])
      expect(answerOf(filter, 'ptrace', request, 5n, 0n, 0x80n)).toBe('SCMP_ACT_ALLOW');
    for (const request of [PTRACE_SETOPTIONS, PTRACE_SEIZE]) expect(answerOf(filter, 'ptrace', request, 5n, 0n, 0x10007fn)).toBe('SCMP_ACT_ALLOW');
  });

  test('nested namespaces, where the policy grants them, are not refused', () => {
    const open = seccompOf(policy(runtime, true));
    expect([
      answerOf(open, 'unshare'),
      answerOf(open, 'clone', CLONE_NEW[4]!),
      answerOf(open, 'clone3'),
      answerOf(open, 'ptrace', PTRACE_SYSCALL),
      answerOf(open, 'mount'),
    ]).toEqual(Array.from({ length: 5 }, () => 'SCMP_ACT_ALLOW'));
  });
});

describe("what only the host's own kernel is asked to refuse", () => {
  const filter = seccompOf(policy('native', false));

  test.each(['mount', 'umount2', 'pivot_root', 'move_mount', 'open_tree', 'fsopen', 'fsmount', 'fsconfig', 'fspick', 'mount_setattr'])(
    '%s is refused',
    (name) => {
      expect(answerOf(filter, name, 0n)).toBe('SCMP_ACT_ERRNO');
    },
  );

  test.each([
    'keyctl',
    'bpf',
    'perf_event_open',
    'userfaultfd',
    'io_uring_setup',
    'open_by_handle_at',
    'kexec_load',
    'finit_module',
    'reboot',
    'swapon',
    'acct',
    'quotactl',
  ])('%s is refused, with nested namespaces too', (name) => {
    expect([filter, seccompOf(policy('native', true))].map((each) => answerOf(each, name))).toEqual(['SCMP_ACT_ERRNO', 'SCMP_ACT_ERRNO']);
  });

  test('nobody types into a terminal that others share, not by a number whose high half hides it either', () => {
    for (const request of [0x5412n, 0x541cn])
      expect([request, request | (1n << 32n)].map((each) => answerOf(filter, 'ioctl', 0n, each))).toEqual(['SCMP_ACT_ERRNO', 'SCMP_ACT_ERRNO']);
    expect(answerOf(filter, 'ioctl', 0n, 0x5413n)).toBe('SCMP_ACT_ALLOW');
  });
});

test('gVisor compiles the filter for every exec: it is short', () => {
  expect(seccompOf(policy('gvisor', false)).syscalls.length).toBeLessThanOrEqual(8);
});

test('gVisor answers clone3 with ENOSYS, and no tracer can let it through or put another call in the place of one', () => {
  const filter = seccompOf(policy('gvisor', false));
  expect(answerOf(filter, 'clone3')).toBe('SCMP_ACT_TRACE');
  expect(answerOf(filter, 'ptrace', PTRACE_SYSCALL, 5n)).toBe('SCMP_ACT_ERRNO');
  fc.assert(
    fc.property(fc.constantFrom(PTRACE_SETOPTIONS, PTRACE_SEIZE), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (request, options) => {
      expect(answerOf(filter, 'ptrace', request, 5n, 0n, options | PTRACE_O_TRACESECCOMP)).toBe('SCMP_ACT_ERRNO');
    }),
  );
});

test('Linux, which judges a call after its tracer, answers clone3 with ENOSYS and leaves tracing alone', () => {
  const filter = seccompOf(policy('native', false));
  expect(filter.syscalls.filter(({ names }) => names.includes('clone3'))).toEqual([{ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }]);
  expect(filter.syscalls.some(({ names }) => names.includes('ptrace'))).toBe(false);
});
