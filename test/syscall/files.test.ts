import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { O_NOFOLLOW, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from '../../src/syscall/constants.ts';
import { openat2, openDirectory, openInRoot, pathOf, setTimes, withFd } from '../../src/syscall/files.ts';
import { recording } from './recorder.ts';

const { O_RDONLY, O_DIRECTORY } = constants;
const { EAGAIN } = { EAGAIN: 11 };

// outside/secret and, beside it, a tree whose links all try to get there.
let [outside, root] = ['', ''];
let tree: number;
beforeAll(() => {
  outside = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-files-')));
  root = join(outside, 'root');
  mkdirSync(join(root, 'a/b/c'), { recursive: true });
  writeFileSync(join(outside, 'secret'), 'of the host');
  writeFileSync(join(root, 'secret'), 'inside');
  writeFileSync(join(root, 'a/..foo'), 'dots');
  const links = { up: '../../../../..', absolute: '/', 'a/secret': '/secret', 'a/b/host': join(outside, 'secret'), 'a/loop': 'loop', 'a/b/there': '../../..' };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
  for (const name of ['self', 'fd']) symlinkSync(name === 'self' ? '/proc/self/root' : '/proc/self/fd/0', join(root, name));
  tree = openDirectory(root);
});
afterAll(() => {
  closeSync(tree);
  rmSync(outside, { recursive: true, force: true });
});

const read = (path: string | Buffer): string => withFd(openInRoot(tree, path, O_RDONLY), (fd) => readFileSync(fd, 'utf8'));
/** Where a descriptor leads. */
const whereIs = (fd: number): string => readlinkSync(pathOf(fd));

describe('a path in a root', () => {
  it('means what it would mean to a program whose root it is', () => {
    expect(read('/secret')).toBe('inside');
    expect(read('a/secret')).toBe('inside');
    expect(read('absolute/a/../secret')).toBe('inside');
    expect(read('a/..foo')).toBe('dots');
    expect(() => read('a/b/host')).toThrow('openat2: ENOENT');
  });

  it('ends at the root however many `..` it has', () => {
    for (const path of ['../secret', '/../../../secret', 'a/b/c/../../../../../../secret', 'up/secret', 'a/b/there/secret']) expect(read(path)).toBe('inside');
    withFd(openInRoot(tree, '../..', O_RDONLY | O_DIRECTORY), (fd) => expect(whereIs(fd)).toBe(root));
  });

  it('never leads out of it, whatever its parts are', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b', 'c', 'up', 'absolute', 'there', 'host', 'secret', 'self', 'fd', 'loop', '..foo', 'nothing');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.boolean(), (parts, absolute) => {
        const reached = tryOpen(`${absolute ? '/' : ''}${parts.join('/')}`);
        if (reached !== undefined) expect(`${reached}/`).toMatch(new RegExp(`^${root}/`));
      }),
      { numRuns: 500 },
    );
  });

  it('does not go through magic links, wherever they stand', () => {
    withFd(openDirectory('/'), (host) => {
      for (const path of ['/proc/self/root/etc/passwd', '/proc/self/cwd', `/proc/self/fd/${tree}/secret`])
        expect(() => openInRoot(host, path, O_RDONLY)).toThrow('openat2: ELOOP');
    });
  });

  it('may not be a chain of links without end', () => {
    expect(() => read('a/loop')).toThrow('openat2: ELOOP');
  });

  it('with a NUL is refused before the kernel cuts it there', () => {
    for (const path of ['secret\0', '\0', 'secret\0/nothing', Buffer.from('secret\0x')]) expect(() => read(path)).toThrow(TypeError);
  });

  it('that is too long, or no directory on the way, is an error with its name', () => {
    expect(() => read('a/'.repeat(3000))).toThrow('openat2: ENAMETOOLONG');
    expect(() => read('x'.repeat(300))).toThrow('openat2: ENAMETOOLONG');
    expect(() => read('secret/x')).toThrow('openat2: ENOTDIR');
    expect(() => read('')).toThrow('openat2: ENOENT');
  });

  it('may have a name that is not UTF-8', () => {
    const name = Buffer.from([0x66, 0xff, 0xfe]);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), name]), 'bytes');
    expect(read(name)).toBe('bytes');
  });
});

describe('a walk that a rename raced', () => {
  it('is made again', () => {
    recording({ openat2: [{ errno: EAGAIN }, { errno: EAGAIN }, 77] }, ({ calls }) => {
      expect(openInRoot(3, 'x', O_RDONLY)).toBe(77);
      expect(calls.length).toBe(3);
    });
  });

  it('is given up after a number of times', () => {
    recording({ openat2: { errno: EAGAIN } }, ({ calls }) => {
      expect(() => openInRoot(3, 'x', O_RDONLY)).toThrow('openat2: EAGAIN');
      expect(calls.length).toBe(64);
    });
  });
});

describe('openat2', () => {
  it('resolves as it is told', () => {
    const open = (path: string, resolve: number): void => closeSync(openat2(tree, path, O_RDONLY, resolve));
    expect(() => open('../secret', RESOLVE_BENEATH)).toThrow('openat2: EXDEV');
    expect(() => open('/secret', RESOLVE_BENEATH)).toThrow('openat2: EXDEV');
    expect(() => open('a/secret', RESOLVE_NO_SYMLINKS)).toThrow('openat2: ELOOP');
    withFd(openDirectory('/'), (host) => expect(() => closeSync(openat2(host, 'proc/version', O_RDONLY, RESOLVE_NO_XDEV))).toThrow('openat2: EXDEV'));
    expect(() => open('a/b', RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)).not.toThrow();
  });

  it('sets close-on-exec always and gives a new file its mode', () => {
    withFd(openInRoot(tree, 'a/new', constants.O_CREAT | constants.O_WRONLY, 0o640), (fd) => {
      expect(fstatSync(fd).mode & 0o777).toBe(0o640 & ~process.umask());
      expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^flags:\t0?2[0-7]{6}$/m);
    });
  });
});

it('a directory of ours is opened without following a link at its end', () => {
  expect(() => openDirectory(join(root, 'up'))).toThrow(/openat2: (ELOOP|ENOTDIR)/);
  expect(() => openDirectory(join(root, 'secret'))).toThrow('openat2: ENOTDIR');
});

describe('times', () => {
  it('are set to the nanosecond, before 1970 too', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -1_000_000_000_000_000_000n, max: 4_000_000_000_000_000_000n }), (ns) => {
        setTimes(tree, 'secret', 5n, ns);
        const { mtimeNs, atimeNs } = statSync(join(root, 'secret'), { bigint: true });
        expect([mtimeNs, atimeNs]).toEqual([ns, 5n]);
      }),
      { numRuns: 50 },
    );
  });

  it('of a link are its own', () => {
    const before = statSync(join(root, 'secret'), { bigint: true }).mtimeNs;
    setTimes(tree, 'a/secret', 1n, 2n);
    expect(statSync(join(root, 'secret'), { bigint: true }).mtimeNs).toBe(before);
    withFd(openat2(tree, 'a/secret', constants.O_RDONLY | 0o10000000 | O_NOFOLLOW, 0), (fd) => expect(fstatSync(fd, { bigint: true }).mtimeNs).toBe(2n));
  });
});

it('a descriptor is closed after its use, also when that throws', () => {
  const before = readdirSync('/proc/self/fd');
  expect(() =>
    withFd(openSync('/dev/null', 'r'), () => {
      throw new Error('in its use');
    }),
  ).toThrow('in its use');
  expect(withFd(openSync('/dev/null', 'r'), (fd) => fd)).toBeTypeOf('number');
  expect(readdirSync('/proc/self/fd')).toEqual(before);
});

/** Where a path leads; undefined where it leads nowhere. */
const tryOpen = (path: string): string | undefined => {
  try {
    return withFd(openInRoot(tree, path, O_RDONLY), whereIs);
  } catch {
    return undefined;
  }
};
