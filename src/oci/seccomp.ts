/**
 * System calls that no program inside may make, each with its reason (man 2 seccomp). All others are allowed: the wall is the runtime's kernel, and a list of allowed calls kills ordinary tools.
 * gVisor heeds them with `--oci-seccomp` only, answers EPERM whatever `errnoRet` says, and judges a call before a tracer that stops it at its entry can change it; Linux judges it after.
 */
import type { Policy } from '../policy/profile.ts';
import type { Seccomp, SyscallArgument, SyscallRule } from './spec.ts';

export const seccompOf = ({ nested_namespaces: nested, runtime }: Policy): Seccomp => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
  syscalls: [...NEVER_NEEDED[runtime.name], ...(nested.allow ? [] : [...NAMESPACES[runtime.name], ...UNSEEN_FLAGS[runtime.name]])],
});

const EPERM = 1;
const ENOSYS = 38;

const refused = (names: readonly string[], ...args: readonly SyscallArgument[]): SyscallRule => ({
  names,
  action: 'SCMP_ACT_ERRNO',
  errnoRet: EPERM,
  ...(args.length === 0 ? {} : { args }),
});

const hasBits = (index: number, bits: number): SyscallArgument => ({ index, op: 'SCMP_CMP_MASKED_EQ', value: bits, valueTwo: bits });
/** An argument of which the kernel takes the low 32 bits: what stands above them must not hide it. */
const equalsInt = (index: number, value: number): SyscallArgument => ({ index, op: 'SCMP_CMP_MASKED_EQ', value: 0xffffffff, valueTwo: value });

const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;

/** Refused under every policy by the host's kernel. */
const NEVER_NEEDED_NATIVE: readonly SyscallRule[] = [
  // Keyrings are shared by all that have the same uid, across sandboxes of one host (CVE-2016-0728, CVE-2014-9529).
  refused(['keyctl', 'add_key', 'request_key']),
  // Code of the program's own in the kernel (CVE-2020-8835, CVE-2021-3490).
  refused(['bpf']),
  // Counters that measure other programs and the kernel; a long row of holes.
  refused(['perf_event_open']),
  // Stops the kernel in the middle of a copy: what exploits win their races with.
  refused(['userfaultfd']),
  // A second way into the kernel that no filter of calls sees.
  refused(['io_uring_setup', 'io_uring_enter', 'io_uring_register']),
  // Opens a file by number, past every directory: the way out of containers called Shocker.
  refused(['open_by_handle_at']),
  // Watches all files of a mount, whoever uses them.
  refused(['fanotify_init']),
  // Another kernel.
  refused(['kexec_load', 'kexec_file_load']),
  // Code in this one.
  refused(['init_module', 'finit_module', 'delete_module']),
  // The machine's power, swap, accounting, quotas, clock, ports and log are the host's.
  refused(['reboot']),
  refused(['swapon', 'swapoff']),
  refused(['acct']),
  refused(['quotactl', 'quotactl_fd']),
  refused(['settimeofday', 'clock_settime']),
  refused(['iopl', 'ioperm']),
  refused(['syslog']),
  // Types into the terminal, or steers the console, of whoever shares it (CVE-2017-5226, CVE-2023-28339).
  refused(['ioctl'], equalsInt(1, TIOCSTI)),
  refused(['ioctl'], equalsInt(1, TIOCLINUX)),
];

/** gVisor's kernel has none of these, or gives them to nobody without capabilities; and it compiles the filter anew for every exec, 0.1 ms a rule. */
const NEVER_NEEDED: Readonly<Record<Policy['runtime']['name'], readonly SyscallRule[]>> = { native: NEVER_NEEDED_NATIVE, gvisor: [] };

/** CLONE_NEW* of man 2 clone; CLONE_NEWTIME is no flag of clone, its bit is part of the exit signal there. */
const CLONE_NEWUSER = 0x10000000;
const CLONE_NAMESPACES = {
  CLONE_NEWNS: 0x00020000,
  CLONE_NEWCGROUP: 0x02000000,
  CLONE_NEWUTS: 0x04000000,
  CLONE_NEWIPC: 0x08000000,
  CLONE_NEWUSER,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
} as const;

// man 2 ptrace
const PTRACE_SYSCALL = 24;
const PTRACE_SETOPTIONS = 0x4200;
const PTRACE_SEIZE = 0x4206;
const PTRACE_O_TRACESECCOMP = 0x80;

/** Refused unless the policy grants `nested_namespaces`: in a user namespace of its own a program holds every capability. */
const NAMESPACES_NATIVE: readonly SyscallRule[] = [
  // Leaves or enters namespaces.
  refused(['unshare', 'setns']),
  // Makes or changes mounts, the old way and the new one.
  refused(['mount', 'umount2', 'pivot_root']),
  refused(['open_tree', 'open_tree_attr', 'move_mount', 'fsopen', 'fsconfig', 'fsmount', 'fspick', 'mount_setattr']),
  // A child in namespaces of its own; one rule a flag, because a rule's arguments all have to hold.
  ...Object.values(CLONE_NAMESPACES).map((flag) => refused(['clone'], hasBits(0, flag))),
];

/** In gVisor it is enough that no program comes to a user namespace of its own: without one it has no capability, and all else but CLONE_NEWNS asks for one. */
const NAMESPACES: Readonly<Record<Policy['runtime']['name'], readonly SyscallRule[]>> = {
  native: NAMESPACES_NATIVE,
  gvisor: [refused(['unshare', 'setns']), refused(['clone'], hasBits(0, CLONE_NEWUSER)), refused(['clone'], hasBits(0, CLONE_NAMESPACES.CLONE_NEWNS))],
};

/**
 * clone3 keeps its flags in memory, where no filter sees them. ENOSYS makes the C library take clone instead; any other answer ends the making of threads.
 * How a filter says ENOSYS, and what keeps a tracer from undoing it, differs between the kernels.
 */
const UNSEEN_FLAGS: Readonly<Record<Policy['runtime']['name'], readonly SyscallRule[]>> = {
  native: [{ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS }],
  gvisor: [
    // TRACE without a tracer is ENOSYS. (Not on Linux: there a filter of the program's own with USER_NOTIF would win over it.)
    { names: ['clone3'], action: 'SCMP_ACT_TRACE', errnoRet: ENOSYS },
    // So nobody may be the tracer that lets it through …
    refused(['ptrace'], equalsInt(0, PTRACE_SETOPTIONS), hasBits(3, PTRACE_O_TRACESECCOMP)),
    refused(['ptrace'], equalsInt(0, PTRACE_SEIZE), hasBits(3, PTRACE_O_TRACESECCOMP)),
    // … nor stop a call at its entry, when this filter has passed it, and make another of it. Debuggers, which run by signals and steps, do without; strace does not.
    refused(['ptrace'], equalsInt(0, PTRACE_SYSCALL)),
  ],
};
