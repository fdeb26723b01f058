/**
 * Every function of libc that cellwall calls, by its C signature. Only this file, call.ts and stub.ts know koffi.
 * Each line names its man page and, after SAFETY, why a call cannot corrupt memory.
 */
import koffi, { type LibraryHandle } from 'koffi';
import { numberOf, type SyscallName } from './numbers.ts';

/** A function that libc has. */
const wrapped = (result: string, name: string, parameters: string) => ({ result, name, parameters, number: null });
/** A system call that libc has no wrapper for, through syscall(2). */
const raw = (name: SyscallName, parameters: string) => ({
  result: 'int64_t',
  name: 'syscall',
  parameters: `int64_t number, ${parameters}`,
  number: numberOf(name),
});

const FUNCTIONS = {
  // man 2 openat2. SAFETY: `path` is a NUL-terminated Buffer, `how` one of 24 bytes that the kernel only reads.
  openat2: raw('openat2', 'int dirfd, const void *path, const void *how, size_t size'),
  // man 2 utimensat. SAFETY: `path` is a NUL-terminated Buffer, `times` one of 32 bytes, two timespecs that the kernel only reads.
  utimensat: wrapped('int', 'utimensat', 'int dirfd, const void *path, const void *times, int flags'),
  // man 2 listxattr. SAFETY: a NUL-terminated string and a Buffer of `size` bytes.
  listxattr: wrapped('int64_t', 'listxattr', 'const char *path, void *list, size_t size'),
  // man 2 mount. SAFETY: four NUL-terminated strings, copied by the kernel.
  mount: wrapped('int', 'mount', 'const char *source, const char *target, const char *type, unsigned long flags, const char *data'),
  // man 2 umount2. SAFETY: one NUL-terminated string.
  umount2: wrapped('int', 'umount2', 'const char *target, int flags'),
  // man 2 open_tree. SAFETY: a descriptor and a NUL-terminated string.
  open_tree: raw('open_tree', 'int dirfd, const char *path, unsigned int flags'),
  // man 2 move_mount. SAFETY: two descriptors and two NUL-terminated strings.
  move_mount: raw('move_mount', 'int from, const char *from_path, int to, const char *to_path, unsigned int flags'),
  // man 2 mount_setattr. SAFETY: `attr` is a Buffer of 32 bytes that the kernel only reads.
  mount_setattr: raw('mount_setattr', 'int dirfd, const char *path, unsigned int flags, const void *attr, size_t size'),
  // man 2 prctl. SAFETY: integers only in the options used here.
  prctl: wrapped('int', 'prctl', 'int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d'),
  // man 2 pidfd_open. SAFETY: integers.
  pidfd_open: raw('pidfd_open', 'int pid, unsigned int flags'),
  // man 2 pidfd_send_signal. SAFETY: integers and a null pointer.
  pidfd_send_signal: raw('pidfd_send_signal', 'int pidfd, int signal, const void *info, unsigned int flags'),
  // man 2 waitid. SAFETY: `info` is a Buffer of 128 bytes, the size of siginfo_t.
  waitid: wrapped('int', 'waitid', 'int type, int id, void *info, int options'),
  // man 2 poll. SAFETY: `fds` is a Buffer of 8 bytes an entry that its caller keeps until the call is over.
  poll: wrapped('int', 'poll', 'void *fds, unsigned long count, int timeout_ms'),
  // man 2 pipe2. SAFETY: `fds` is a Buffer of 8 bytes.
  pipe2: wrapped('int', 'pipe2', 'void *fds, int flags'),
  // man 2 fcntl. SAFETY: integers only in the commands used here.
  fcntl: wrapped('int', 'fcntl', 'int fd, int command, int64_t argument'),
  // man 2 close. SAFETY: an integer; a descriptor has one holder.
  close: wrapped('int', 'close', 'int fd'),
  // man 2 ioctl. SAFETY: `argument` is a Buffer at least as large as the request's structure, or an integer for the requests that take one.
  ioctl: wrapped('int', 'ioctl', 'int fd, unsigned long request, void *argument'),
  ioctl_int: wrapped('int', 'ioctl', 'int fd, unsigned long request, int64_t argument'),
  // man 2 flock. SAFETY: integers.
  flock: wrapped('int', 'flock', 'int fd, int operation'),
  // man 2 memfd_create. SAFETY: one NUL-terminated string.
  memfd_create: wrapped('int', 'memfd_create', 'const char *name, unsigned int flags'),
  // man 2 socket, man 2 connect. SAFETY: `address` is a sockaddr_un of `size` bytes that the kernel only reads.
  socket: wrapped('int', 'socket', 'int domain, int type, int protocol'),
  connect: wrapped('int', 'connect', 'int fd, const void *address, unsigned int size'),
  // man 2 getsockopt. SAFETY: `value` is a Buffer of as many bytes as `size`, one of 4 bytes, says.
  getsockopt: wrapped('int', 'getsockopt', 'int fd, int level, int option, void *value, void *size'),
  // man 2 sendmsg. SAFETY: `message` is a msghdr whose pointers refer to memory that the caller keeps for the call.
  sendmsg: wrapped('int64_t', 'sendmsg', 'int fd, const void *message, int flags'),
  // man 2 mmap. SAFETY: a new anonymous mapping; it lives as long as anything refers to it.
  mmap: wrapped('void *', 'mmap', 'void *address, size_t length, int protection, int flags, int fd, int64_t offset'),
  // man 2 mprotect. SAFETY: only ranges that mmap above returned.
  mprotect: wrapped('int', 'mprotect', 'void *address, size_t length, int protection'),
  // man 2 execveat. SAFETY: null-terminated arrays of strings, copied by the kernel; returns only on failure.
  execveat: raw('execveat', 'int dirfd, const char *path, const char **argv, const char **envp, int flags'),
  // man 2 splice. SAFETY: both offsets are null or Buffers of 8 bytes.
  splice: wrapped('int64_t', 'splice', 'int from, void *from_offset, int to, void *to_offset, size_t length, unsigned int flags'),
  // man 2 copy_file_range. SAFETY: both offsets are Buffers of 8 bytes.
  copy_file_range: wrapped('int64_t', 'copy_file_range', 'int from, void *from_offset, int to, void *to_offset, size_t length, unsigned int flags'),
  // man 2 epoll_create, man 2 epoll_ctl, man 2 epoll_wait. SAFETY: `event` is a Buffer of one epoll_event, `events` of `count`.
  epoll_create1: wrapped('int', 'epoll_create1', 'int flags'),
  epoll_ctl: wrapped('int', 'epoll_ctl', 'int epoll, int operation, int fd, const void *event'),
  epoll_wait: wrapped('int', 'epoll_wait', 'int epoll, void *events, int count, int timeout_ms'),
  // man 2 eventfd. SAFETY: integers.
  eventfd: wrapped('int', 'eventfd', 'unsigned int initial, int flags'),
} as const;

export type LibcName = keyof typeof FUNCTIONS;
type Argument = number | bigint | string | Buffer | readonly (string | null)[] | null;
type Result = number | bigint;

/** libc as the rest of this folder sees it. A recorder in the tests has the same shape. */
export interface Libc {
  /** Calls a function; the second value is errno, read in the same tick. */
  call(name: LibcName, args: readonly Argument[]): [result: Result, errno: number];
  /** The same on a thread of libuv's pool, for calls that block. */
  callAsync(name: LibcName, args: readonly Argument[]): Promise<[result: Result, errno: number]>;
}

const open = (): LibraryHandle => {
  try {
    return koffi.load('libc.so.6');
  } catch {
    return koffi.load(`ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`);
  }
};

const load = (): Libc => {
  const library = open();
  const bound = new Map(
    Object.entries(FUNCTIONS).map(([name, { result, name: symbol, parameters }]) => [name, library.func(`${result} ${symbol}(${parameters})`)]),
  );
  const prefix = (name: LibcName): number[] => (FUNCTIONS[name].number === null ? [] : [FUNCTIONS[name].number]);
  return {
    call: (name, args) => [bound.get(name)!(...prefix(name), ...args) as Result, koffi.errno()],
    // errno belongs to the thread that made the call and cannot be read from here: a failed call is asked again by its caller.
    callAsync: (name, args) =>
      new Promise((resolve, reject) =>
        bound.get(name)!.async(...prefix(name), ...args, (error: unknown, result: Result) => (error ? reject(error) : resolve([result, 0]))),
      ),
  };
};

let current: Libc | undefined;

/** The libc in use: the machine's, loaded at the first call, unless a test put a recorder in its place. */
export const libc = (): Libc => (current ??= load());

/** For tests: puts `replacement` in the place of libc, or the machine's own back (`undefined`). */
export const replaceLibc = (replacement: Libc | undefined): void => {
  current = replacement;
};
