/** The generated /etc of a sandbox: files that say who and where a program is, and copies of what programs need from the host's, without a key. */
import * as fs from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { log } from '../log.ts';
import { isAtOrBelow } from './names.ts';
import { isSecretContent, isSecretName } from './context/secrets.ts';

/**
 * Fills an empty directory, once for all sandboxes of a server. `root` is the top of the file system that the copies come from.
 * Only what everybody may read there is copied, and no private key; where it is too much the rest is left out, and the log says so.
 * Throws what node:fs throws for the target.
 */
export const buildEtc = (target: string, root = '/'): void => {
  fs.chmodSync(target, 0o755);
  const shell = fs.existsSync(join(root, 'bin/bash')) ? '/bin/bash' : '/bin/sh';
  for (const [name, content] of Object.entries(generated(shell))) writeNew(join(target, name), content, 0o644);
  const copy = new EtcCopy(target, root);
  const names = copy.names('');
  for (const wanted of WANTED) for (const name of names) if (wanted.test(name)) copy.add(name);
  copy.addTimeZone();
  if (copy.isFull) log.warn({ mostEntries: MOST_ENTRIES, mostBytes: MOST_BYTES }, 'the copy of /etc is not complete: programs inside may miss settings');
};

const generated = (shell: string): Record<string, string> => ({
  passwd: lines(`root:x:0:0:root:/root:${shell}`, `agent:x:1000:1000:agent:/home/agent:${shell}`, 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin'),
  group: lines('root:x:0:', 'agent:x:1000:', 'nogroup:x:65534:'),
  hosts: lines('127.0.0.1 localhost cellwall', '::1 localhost ip6-localhost ip6-loopback'),
  hostname: lines('cellwall'),
  'resolv.conf': lines('# no network, no name server'),
  'nsswitch.conf': lines(
    ...['passwd', 'group', 'shadow', 'networks', 'protocols', 'services', 'ethers', 'rpc'].map((name) => `${name}: files`),
    'hosts: files dns',
  ),
});

const lines = (...all: string[]): string => all.map((line) => `${line}\n`).join('');

// The mode is set by itself: that of a call is narrowed by the umask.
const writeNew = (path: string, content: string | Buffer, mode: number): void => {
  fs.writeFileSync(path, content, { flag: 'wx' });
  fs.chmodSync(path, mode);
};

/** What is copied, in this order; the time zone comes last. */
const WANTED = [/^ld\.so\.(?:cache|conf|conf\.d)$/, /^(?:services|protocols|mime\.types)$/, /^alternatives$/, /^(?:perl|python3.*|java-.*)$/, /^ssl$/];
const LEFT_OUT = /^ssl\/(?:.*\/)?private$/;
const TIME_ZONE = 'localtime';
/** places that mean the same inside: links that lead elsewhere are left out */
const LINKED_PLACES = /^\/(?:usr|bin|sbin|lib[^/]*|opt|etc)\//;
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/;

const MOST_ENTRIES = 5000;
const MOST_BYTES = 64 * 1024 * 1024;
const DEEPEST = 16;

const READABLE = 0o004;
const SEARCHABLE = 0o001;
const EXECUTABLE = 0o001;

/** A copy of parts of an /etc. Owners are not looked at: in a user namespace root's files belong to nobody. */
class EtcCopy {
  readonly #target: string;
  readonly #root: string;
  #entries = 0;
  #bytes = 0;
  isFull = false;

  constructor(target: string, root: string) {
    this.#target = target;
    this.#root = fs.realpathSync(root);
  }

  /** The names in a directory of the /etc, `''` for itself; none where not everybody may list and enter it. */
  names(path: string): string[] {
    const directory = this.#from(path);
    const mode = orNothing(() => fs.lstatSync(directory))?.mode ?? 0;
    return (mode & (READABLE | SEARCHABLE)) === (READABLE | SEARCHABLE) ? (orNothing(() => fs.readdirSync(directory)) ?? []) : [];
  }

  /** Copies what lies at a path, with all below it. */
  add(path: string, depth = 1): void {
    if (LEFT_OUT.test(path) || depth > DEEPEST) return;
    if (++this.#entries > MOST_ENTRIES) this.isFull = true;
    if (this.isFull) return;
    const from = this.#from(path);
    const stats = orNothing(() => fs.lstatSync(from));
    if (stats?.isSymbolicLink()) this.#addLink(path, fs.readlinkSync(from));
    else if (stats?.isDirectory()) this.#addDirectory(path, depth);
    else if (stats?.isFile()) this.#addFile(path, from);
  }

  /** The time zone is a link, often to another: one that does not lead below /usr becomes the file that it leads to. */
  addTimeZone(): void {
    const link = this.#from(TIME_ZONE);
    const target = orNothing(() => fs.readlinkSync(link));
    if (target === null || placeOf(TIME_ZONE, target).startsWith('/usr/')) return this.add(TIME_ZONE);
    const file = orNothing(() => fs.realpathSync(link));
    if (file !== null && this.#isOpenToAll(dirname(file))) this.#addFile(TIME_ZONE, file);
  }

  #addLink(path: string, target: string): void {
    if (LINKED_PLACES.test(placeOf(path, target))) fs.symlinkSync(target, this.#to(path));
  }

  #addDirectory(path: string, depth: number): void {
    fs.mkdirSync(this.#to(path));
    fs.chmodSync(this.#to(path), 0o755);
    for (const name of this.names(path)) this.add(`${path}/${name}`, depth + 1);
  }

  #addFile(path: string, from: string): void {
    const file = orNothing(() => readFile(from, MOST_BYTES - this.#bytes));
    if (file === 'too large') this.isFull = true;
    else if (file !== null && !isSecret(path, file.content)) {
      this.#bytes += file.content.length;
      writeNew(this.#to(path), file.content, file.mode & EXECUTABLE ? 0o755 : 0o644);
    }
  }

  // Whether everybody may enter a directory and all above it.
  #isOpenToAll(directory: string): boolean {
    if (!isAtOrBelow(directory, this.#root) || !(fs.statSync(directory).mode & SEARCHABLE)) return false;
    return directory === this.#root || this.#isOpenToAll(dirname(directory));
  }

  #from(path: string): string {
    return join(this.#root, 'etc', path);
  }

  #to(path: string): string {
    return join(this.#target, path);
  }
}

// Where a link of the /etc leads, as its text says.
const placeOf = (path: string, target: string): string => posix.resolve('/etc', posix.dirname(path), target);

const isSecret = (path: string, content: Buffer): boolean =>
  isSecretName(path, false) || isSecretContent(path, content) || PRIVATE_KEY.test(content.toString('latin1'));

/** The content of a regular file that everybody may read; null for anything else. */
const readFile = (path: string, mostBytes: number): { mode: number; content: Buffer } | 'too large' | null => {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  try {
    const stats = fs.fstatSync(fd);
    if (!stats.isFile() || !(stats.mode & READABLE)) return null;
    return stats.size > mostBytes ? 'too large' : { mode: stats.mode, content: fs.readFileSync(fd) };
  } finally {
    fs.closeSync(fd);
  }
};

/** What `read` returns, or null: what cannot be read is not copied. */
const orNothing = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch {
    return null;
  }
};
