/** Which paths and variable names a profile may not use, and why. Lexical: whoever mounts a place judges what its links lead to with the same functions. */

/** Places of the host that hold its identity, its devices or its daemons' sockets: no part of them is ever shown inside. */
const HOST_PRIVATE: Readonly<Record<string, string>> = {
  '/proc': "shows the host's processes",
  '/sys': "steers the host's kernel",
  '/dev': "holds the host's devices",
  '/etc': "holds the host's accounts and keys",
  '/boot': "holds the host's kernel",
  '/run': "holds the host's sockets",
  '/var/run': "holds the host's sockets",
  '/var/log': "holds the host's logs",
};

/** A whole home directory: everything that its owner keeps secret lies in it. */
const WHOLE_HOME = /^\/(root|home|home\/[^/]+)$/;

/** Places inside that cellwall fills with the rootfs or the kernel's own trees: nothing is mounted at or below them. */
const RESERVED = /^\/(usr|bin|sbin|lib[^/]*|etc|proc|dev|sys|run)(\/|$)/;

/** Places inside that a sandbox writes to: they keep their own mount, a place below may have another. */
const WRITABLE = ['/workspace', '/tmp', '/home', '/home/agent'];

/** Variables that make the loader run or print other code in each program. */
const LOADER_VARIABLES = ['LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'LD_DEBUG', 'LD_PROFILE'];

/** Whether `path` is `place` or lies below it; both are normal and absolute. */
export const isWithin = (path: string, place: string): boolean => place === '/' || path === place || path.startsWith(`${place}/`);

/** Why `path` is no absolute path in normal form; undefined when it is one. */
export const absolutePathRefusal = (path: string): string | undefined =>
  path === '/' || (path.startsWith('/') && hasPlainParts(path.slice(1))) ? undefined : 'expected an absolute path without ".", "..", "//" or "/" at its end';

/** Why `path` is no relative path in normal form; undefined when it is one. */
export const relativePathRefusal = (path: string): string | undefined =>
  hasPlainParts(path) ? undefined : 'expected a path relative to the context without ".", ".." or "//"';

/** Why a bind may not come from this place of the host; undefined when it may. */
export const bindSourceRefusal = (path: string): string | undefined =>
  absolutePathRefusal(path) ?? privateRefusal(path) ?? (isWithin(path, '/root') ? "expected a place outside of root's home" : homeRefusal(path));

/** Why a directory of the host may not be a rootfs; undefined when it may. */
export const rootfsRefusal = (path: string): string | undefined => absolutePathRefusal(path) ?? privateRefusal(path) ?? homeRefusal(path);

/** Why a directory of the host may not be a toolchain, which appears at its own path; undefined when it may. Below a home it may: nvm, rustup and pyenv live there. */
export const toolchainRefusal = (path: string): string | undefined =>
  rootfsRefusal(path) ??
  (RESERVED.test(path) || isWithin(path, '/workspace') || isWithin(path, '/tmp')
    ? 'expected a directory outside of /usr, /bin, /lib*, /sbin (which `rootfs.source` brings), /workspace and /tmp'
    : undefined);

/** Why a bind may not be mounted at this place inside; undefined when it may. */
export const bindDestinationRefusal = (path: string): string | undefined => {
  const refusal = absolutePathRefusal(path);
  if (refusal !== undefined) return refusal;
  if (path === '/' || RESERVED.test(path))
    return 'expected a place outside of /usr, /bin, /lib*, /sbin, /etc, /proc, /sys, /dev and /run, which cellwall fills';
  return WRITABLE.includes(path) ? `expected a place below ${path}, which has a mount of its own` : undefined;
};

/** Why a variable of this name may not be set; undefined when it may. */
export const variableRefusal = (name: string): string | undefined => {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return 'expected a name of letters, digits and "_" that begins with no digit';
  return LOADER_VARIABLES.includes(name) ? 'expected a variable that does not make the loader run other code in every program' : undefined;
};

const hasPlainParts = (path: string): boolean => path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/\p{Cc}/u.test(part));

// A place that holds a private one is as private: `/var` shows `/var/log`.
const privateRefusal = (path: string): string | undefined => {
  const found = Object.entries(HOST_PRIVATE).find(([place]) => isWithin(path, place) || isWithin(place, path));
  return found && `expected a place apart from ${found[0]}, which ${found[1]}`;
};

const homeRefusal = (path: string): string | undefined =>
  WHOLE_HOME.test(path) ? 'expected a place below a home, not the whole of it, where keys and tokens lie' : undefined;
