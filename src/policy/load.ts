/**
 * Policies from files: the shipped ones, the operator's and the floor. Read once, at start; what is parsed are the bytes that were read.
 * Only here does this room touch the disk. What it throws may name places of the host: it is thrown at start, before anything is served.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { invalid, parseAs, shown } from './issues.ts';
import { type Floor, floorSchema, type Policy, type Profile, profileSchema } from './profile.ts';
import { resolvePolicy, unknownPolicy } from './resolve.ts';

export interface Sources {
  /** directory of the policies that come with cellwall, trusted as the code beside it is */
  readonly shippedDirectory: string;
  /** the operator's directory of more profiles */
  readonly directory?: string | undefined;
  /** the operator's floor */
  readonly floorFile?: string | undefined;
  /** directories of the host that contexts may come from */
  readonly allowedRoots: readonly string[];
}

export interface Policies {
  /** names that may be asked for, in order of the alphabet */
  readonly names: readonly string[];
  /** The policy of this name; POLICY_UNKNOWN where there is none, POLICY_INVALID for a shipped one that exceeds the floor. */
  get(name: string): Policy;
}

/**
 * Reads, judges and resolves all policies. POLICY_INVALID for a file that is no policy, takes a shipped name or exceeds the floor, and for one that somebody else could have written.
 * A shipped policy that exceeds the floor is withheld instead, because the operator cannot mend it: it is not among `names`.
 */
export const loadPolicies = ({ shippedDirectory, directory, floorFile, allowedRoots }: Sources): Policies => {
  const floor = floorFile === undefined ? undefined : readFloor(floorFile, allowedRoots);
  const shipped = readShipped(shippedDirectory);
  const own = directory === undefined ? [] : readOwn(directory, allowedRoots);
  const taken = own.find(({ name }) => shipped.some((profile) => profile.name === name));
  if (taken !== undefined) throw invalid(`${taken.name}.json`, `name: expected one that cellwall does not ship itself, got ${shown(taken.name)}`);
  const profiles = new Map([...shipped, ...own].map((profile) => [profile.name, profile]));
  const policies = new Map(own.map(({ name }) => [name, resolvePolicy(name, profiles, floor)]));
  const withheld = new Map<string, SandboxError>();
  for (const { name } of shipped) {
    try {
      policies.set(name, resolvePolicy(name, profiles, floor));
    } catch (error) {
      if (floor === undefined || !(error instanceof SandboxError)) throw error;
      log.warn({ policy: name, reason: error.message }, 'a shipped policy exceeds the floor and is withheld');
      withheld.set(name, error);
    }
  }
  const names = [...policies.keys()].sort();
  return { names, get: (name) => policies.get(name) ?? raise(withheld.get(name) ?? unknownPolicy(name, names)) };
};

/**
 * The real path of what `path` leads to. POLICY_INVALID unless it, every directory above it and every link on the way belong to root or to us and can be written by nobody else.
 * Where the user namespace has no root (man 7 user_namespaces), owners that are not mapped look alike and are all taken for root: judge what the operator names before the server enters one.
 */
export const trustedPath = (path: string): string => {
  const owners = trustedOwners();
  const parts = (path.startsWith('/') ? path : `${process.cwd()}/${path}`).split('/');
  let links = 0;
  for (let current = '/'; ;) {
    const status = statusOf(current);
    if (!owners.includes(status.uid)) throw invalid(path, `expected ${current} to belong to root or the user of cellwall, got user ${status.uid}`);
    if (status.isSymbolicLink()) {
      if (++links > MAX_LINKS) throw invalid(path, `expected at most ${MAX_LINKS} links, got more`);
      const target = readlinkSync(current);
      parts.unshift(...target.split('/'));
      current = target.startsWith('/') ? '/' : dirname(current);
    } else if ((status.mode & WRITABLE_BY_OTHERS) !== 0)
      throw invalid(path, `expected ${current} to be writable by its owner alone, got mode ${octal(status)}`);
    const part = parts.find((candidate) => candidate !== '' && candidate !== '.');
    if (part === undefined) return current;
    parts.splice(0, parts.indexOf(part) + 1);
    current = join(current, part);
  }
};

/** As many as Linux follows (man 7 path_resolution). */
const MAX_LINKS = 40;
const WRITABLE_BY_OTHERS = 0o022;
const MAX_BYTES = 1 << 20;
/** Lies beside the policies and is none. */
const SCHEMA_FILE = 'schema.json';

const readShipped = (directory: string): Profile[] => filesOf(directory).map((file) => parseProfile(readFileSync(join(directory, file)), file));

const readOwn = (path: string, allowedRoots: readonly string[]): Profile[] => {
  const directory = trustedPath(path);
  assertOutside(directory, allowedRoots);
  return filesOf(directory).map((file) => parseProfile(readTrusted(join(directory, file)), file));
};

const readFloor = (path: string, allowedRoots: readonly string[]): Floor => {
  const [directory, file] = [trustedPath(dirname(path)), basename(path)];
  assertOutside(directory, allowedRoots);
  return parseAs(floorSchema, parseJson(readTrusted(join(directory, file)), file), file);
};

const filesOf = (directory: string): string[] =>
  attempt(directory, 'a directory of policies', () => readdirSync(directory))
    .filter((file) => file.endsWith('.json') && !file.startsWith('.') && file !== SCHEMA_FILE)
    .sort();

const parseProfile = (bytes: Buffer, file: string): Profile => {
  const profile = parseAs(profileSchema, parseJson(bytes, file), file);
  if (`${profile.name}.json` !== file) throw invalid(file, `name: expected that of the file, got ${shown(profile.name)}`);
  return profile;
};

const parseJson = (bytes: Buffer, file: string): unknown =>
  attempt(file, 'JSON in UTF-8', () => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown);

// The descriptor that is judged is the one that is read. O_NONBLOCK: a FIFO does not hang the start.
const readTrusted = (path: string): Buffer => {
  const file = basename(path);
  const fd = attempt(file, 'a file that is no link', () => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw invalid(file, 'expected a regular file, got another kind');
    if (!trustedOwners().includes(status.uid)) throw invalid(file, `expected a file of root or the user of cellwall, got one of user ${status.uid}`);
    if ((status.mode & WRITABLE_BY_OTHERS) !== 0) throw invalid(file, `expected a file that is writable by its owner alone, got mode ${octal(status)}`);
    if (status.size > MAX_BYTES) throw invalid(file, `expected at most ${MAX_BYTES} bytes, got ${status.size}`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
};

// By device and inode: a bind mount of an allowed root is that root.
const assertOutside = (directory: string, allowedRoots: readonly string[]): void => {
  const roots = allowedRoots.map(identityOf);
  for (let current = directory; ; current = dirname(current)) {
    if (roots.includes(identityOf(current)))
      throw invalid(directory, `expected a place outside of all allowed roots, got one in ${current}: who writes a project must not choose its walls`);
    if (current === '/') return;
  }
};

const identityOf = (path: string): string => {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return `unreachable: ${path}`;
  }
};

const trustedOwners = (): number[] => [
  0,
  process.geteuid?.() ?? 0,
  ...(mapsRoot(readFileSync('/proc/self/uid_map', 'latin1')) ? [] : [Number(readFileSync('/proc/sys/kernel/overflowuid', 'latin1'))]),
];

// Lines `inside outside count` (man 7 user_namespaces).
const mapsRoot = (uidMap: string): boolean => uidMap.split('\n').some((line) => /^\s*0\s/.test(line));

const statusOf = (path: string): Stats => attempt(path, 'a place that can be looked at', () => lstatSync(path));

const octal = ({ mode }: Stats): string => (mode & 0o7777).toString(8).padStart(4, '0');

const attempt = <T>(what: string, expected: string, action: () => T): T => {
  try {
    return action();
  } catch (error) {
    const got =
      error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error
        ? error.code
        : error instanceof Error
          ? error.message
          : String(error);
    throw invalid(what, `expected ${expected}, got ${got}`, { cause: error });
  }
};

const raise = (error: Error): never => {
  throw error;
};
