import { chmodSync, chownSync, lchownSync, linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SandboxError } from '../../../src/errors.ts';
import { log } from '../../../src/log.ts';
import { cachedRunsc, findRunsc, readState, runscFlags, type FindOptions } from '../../../src/runtime/gvisor/runsc.ts';
import { followTrusted, programsOnPath, Untrusted } from '../../../src/runtime/gvisor/trust.ts';

const root = process.getuid!() === 0;
/** files made here are root's or this one's: trusted either way */
const US = process.getuid!() || 1000;
const STRANGER = 4242;

let home: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-runsc-')));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(home, { recursive: true, force: true });
});

/** A program at a place below the test's directory, with all directories above it. */
const program = (path: string, mode = 0o755): string => {
  const file = join(home, path);
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(file, '#!/bin/sh\n');
  chmodSync(file, mode);
  return file;
};

const find = (options: Partial<FindOptions> = {}) =>
  findRunsc({ env: {}, cacheDir: join(home, 'cache'), uid: US, systemDirs: [join(home, 'system')], ...options });
const cached = (): string => program(relative(home, cachedRunsc(join(home, 'cache'))));

const refusal = (action: () => unknown): SandboxError & { cause: unknown } => {
  try {
    action();
  } catch (error) {
    if (error instanceof SandboxError) return error as SandboxError & { cause: unknown };
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('where runsc is looked for', () => {
  it('CELLWALL_RUNSC goes before the cache, the cache before the system, the system before PATH', () => {
    const env = { PATH: join(home, 'path'), CELLWALL_RUNSC: program('named/my-runsc') };
    const places = [cached(), program('system/runsc'), program('path/runsc')];
    expect(find({ env })).toEqual({ path: env.CELLWALL_RUNSC, source: 'CELLWALL_RUNSC' });
    const sources = ['cache', join(home, 'system'), 'PATH'];
    for (const [index, path] of places.entries()) {
      expect(find({ env: { PATH: env.PATH, CELLWALL_RUNSC: '' } })).toEqual({ path, source: sources[index] });
      rmSync(path);
    }
  });

  it('one that is nowhere is RUNTIME_UNAVAILABLE with `cellwall setup` as the hint', () => {
    const error = refusal(() => find({ env: { PATH: join(home, 'path') } }));
    expect(error).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', hint: 'run `cellwall setup`' });
    expect(error.cause).toBeUndefined();
  });

  it('root takes none from PATH', () => {
    program('path/runsc');
    expect(refusal(() => find({ env: { PATH: join(home, 'path') }, uid: 0 })).code).toBe('RUNTIME_UNAVAILABLE');
  });

  it('relative and empty entries of PATH do not count: the working directory may be a project', () => {
    const dir = dirname(program('path/runsc'));
    expect(refusal(() => find({ env: { PATH: `:.:${relative(process.cwd(), dir)}` } })).code).toBe('RUNTIME_UNAVAILABLE');
    expect(programsOnPath('runsc', `:.:${relative(process.cwd(), dir)}`)).toEqual([]);
    expect(find({ env: { PATH: `::${dir}` } }).path).toBe(join(dir, 'runsc'));
  });

  it('an unsafe one in PATH is passed over with a warning', () => {
    const warn = vi.spyOn(log, 'warn').mockReturnValue();
    program('bad/runsc', 0o777);
    const good = program('good/runsc');
    expect(find({ env: { PATH: `${join(home, 'bad')}:${join(home, 'good')}` } }).path).toBe(good);
    expect(warn).toHaveBeenCalledWith(expect.objectContaining({ path: join(home, 'bad/runsc') }), expect.any(String));
  });

  it('an unsafe one in the cache or the system is refused, though another would be there', () => {
    const good = program('path/runsc');
    program('system/runsc', 0o775);
    const system = refusal(() => find({ env: { PATH: dirname(good) } }));
    expect(system.message).toBe('the runsc that is installed on this machine is not used: it is writable by others');
    chmodSync(cached(), 0o757);
    expect(refusal(find).message).toBe('the runsc in the cache is not used: it is writable by others');
  });

  it('a link that leads nowhere is refused where it lies', () => {
    mkdirSync(join(home, 'system'));
    symlinkSync(join(home, 'gone'), join(home, 'system/runsc'));
    expect(refusal(find).message).toContain('it does not exist');
  });
});

describe('an unusable CELLWALL_RUNSC', () => {
  it.each<[string, () => string]>([
    ['it does not exist', () => join(home, 'nothing')],
    ['its path is not absolute', () => relative(process.cwd(), program('named/runsc'))],
    ['it is no regular file', () => dirname(program('dir/file'))],
    ['it is not executable', () => program('named/runsc', 0o644)],
    ['it is writable by others', () => program('named/runsc', 0o775)],
    ['a directory on the way to it is writable by others', () => (chmodSync(dirname(program('open/x/runsc')), 0o755), chmodSync(join(home, 'open'), 0o777), join(home, 'open/x/runsc'))], // prettier-ignore
    ['it is behind too many links', () => (symlinkSync('loop', join(home, 'loop')), join(home, 'loop'))],
  ])('is never passed over and named by the variable alone: %s', (reason, make) => {
    cached();
    const named = make();
    const error = refusal(() => find({ env: { CELLWALL_RUNSC: named } }));
    expect(error).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', message: `the runsc that CELLWALL_RUNSC names is not used: ${reason}` });
    expect(error.message + error.hint).not.toContain(home);
    expect(error.cause).toBeInstanceOf(Untrusted);
    expect((error.cause as Error).message).toMatch(/\//);
  });
});

describe('who could replace a program', () => {
  const reason = (path: string, uid = US): string => {
    try {
      return followTrusted(path, uid).path;
    } catch (error) {
      if (error instanceof Untrusted) return error.reason;
      throw error;
    }
  };

  it('a link is followed to the real path, which is what is run', () => {
    const real = program('real/runsc');
    mkdirSync(join(home, 'bin'));
    symlinkSync('../real/runsc', join(home, 'bin/runsc'));
    expect(find({ env: { CELLWALL_RUNSC: join(home, 'bin/runsc') } }).path).toBe(real);
  });

  it('a safe link into a directory of everybody, and a link of everybody to a safe file, are both refused', () => {
    program('open/runsc');
    program('safe/runsc');
    symlinkSync(join(home, 'open/runsc'), join(home, 'safe/link'));
    symlinkSync(join(home, 'safe/runsc'), join(home, 'open/link'));
    chmodSync(join(home, 'open'), 0o777);
    const refused = 'a directory on the way to it is writable by others';
    expect([reason(join(home, 'safe/link')), reason(join(home, 'open/link')), reason(`${home}/open/../safe/runsc`)]).toEqual([refused, refused, refused]);
  });

  it('a sticky directory of everybody is accepted when the next entry is ours', () => {
    const path = program('sticky/mine/runsc');
    chmodSync(join(home, 'sticky'), 0o1777);
    expect(reason(path)).toBe(path);
    chmodSync(join(home, 'sticky'), 0o777);
    expect(reason(path)).toBe('a directory on the way to it is writable by others');
  });

  it.skipIf(!root)('what belongs to a stranger is refused: the file, a directory above, an entry of a sticky directory (needs root to give files away)', () => {
    const path = program('sticky/theirs/runsc');
    chownSync(path, STRANGER, STRANGER);
    expect(reason(path)).toBe('it belongs to somebody else');
    expect(reason(path, STRANGER)).toBe(path);
    chownSync(path, 0, 0);
    chownSync(join(home, 'sticky/theirs'), STRANGER, STRANGER);
    expect(reason(path)).toBe('a directory on the way to it belongs to somebody else');
    chmodSync(join(home, 'sticky'), 0o1777);
    expect(reason(path)).toBe('a directory on the way to it is writable by others');
  });

  it.skipIf(!root)('a link of a stranger in a sticky directory is refused (needs root to give files away)', () => {
    const path = program('safe/runsc');
    mkdirSync(join(home, 'sticky'));
    symlinkSync(path, join(home, 'sticky/runsc'));
    chmodSync(join(home, 'sticky'), 0o1777);
    expect(reason(join(home, 'sticky/runsc'))).toBe(path);
    lchownSync(join(home, 'sticky/runsc'), STRANGER, STRANGER);
    expect(reason(join(home, 'sticky/runsc'))).toBe('a directory on the way to it is writable by others');
  });

  it('a file has nothing below it, not even `..`', () => {
    const path = program('a/runsc');
    expect(['/', '/.', '/..', '/../runsc'].map((end) => reason(path + end))).toEqual(Array(4).fill('it does not exist'));
  });

  it('every path leads where the kernel says, or nowhere', () => {
    program('a/b/runsc');
    program('c/runsc');
    symlinkSync('../a', join(home, 'c/up'));
    symlinkSync(join(home, 'c'), join(home, 'a/b/far'));
    symlinkSync('.', join(home, 'a/here'));
    linkSync(join(home, 'c/runsc'), join(home, 'a/hard'));
    const kernel = (path: string): string => {
      try {
        return realpathSync.native(path);
      } catch {
        return 'it does not exist';
      }
    };
    const name = fc.constantFrom('a', 'b', 'c', 'runsc', 'up', 'far', 'here', 'hard', '.', '..', '', 'none');
    fc.assert(
      fc.property(fc.array(name, { maxLength: 9 }), (names) => {
        const path = [home, ...names.map((part, index) => (index === 0 && part === '..' ? '.' : part))].join('/');
        // A path that climbs above the test's directory ends in /tmp itself, which is not ours to judge.
        fc.pre(kernel(path).startsWith(home) || kernel(path) === 'it does not exist');
        expect(reason(path)).toBe(kernel(path));
      }),
    );
  });

  it('one directory that others may write is enough to refuse', () => {
    const depths = ['d0', 'd0/d1', 'd0/d1/d2', 'd0/d1/d2/d3'];
    const path = program(`${depths.at(-1)}/runsc`);
    fc.assert(
      fc.property(fc.constantFrom(...depths), fc.constantFrom(0o002, 0o020, 0o022), (dir, bits) => {
        chmodSync(join(home, dir), 0o755 | bits);
        expect(reason(path)).toBe('a directory on the way to it is writable by others');
        chmodSync(join(home, dir), 0o755);
        expect(reason(path)).toBe(path);
      }),
    );
  });
});

describe('flags', () => {
  it('are the same for the same input, in this order', () => {
    expect(runscFlags({ root: '/r', platform: 'systrap', network: 'none' })).toMatchInlineSnapshot(`
      [
        "--root=/r",
        "--platform=systrap",
        "--network=none",
        "--ignore-cgroups",
        "--host-settings=ignore",
        "--overlay2=none",
        "--file-access=shared",
        "--oci-seccomp",
      ]
    `);
  });

  it('ask for logs only where a directory is given', () => {
    expect(runscFlags({ root: '/r', platform: 'ptrace', network: 'sandbox', debugLog: '/logs' }).slice(-2)).toEqual(['--debug', '--debug-log=/logs/']);
  });
});

describe("runsc's record of a sandbox", () => {
  const write = (text: string): void => writeFileSync(join(home, 'sb1_sandbox:sb1.state'), text);
  const whole = { id: 'sb1', goferPid: 12, sandbox: { id: 'sb1', pid: 11, controlSocketPath: '/r/runsc-sb1.sock', cgroup: null } };

  it('gives the pids and the control socket', async () => {
    write(JSON.stringify(whole));
    expect(await readState(home, 'sb1')).toEqual({ sandboxPid: 11, goferPid: 12, controlSocket: '/r/runsc-sb1.sock' });
  });

  it('has no gofer where gVisor wrote 0, which as a pid would mean our own group', async () => {
    write(JSON.stringify({ ...whole, goferPid: 0 }));
    expect((await readState(home, 'sb1')).goferPid).toBeNull();
  });

  it.each([
    ['missing', null],
    ['cut short', '{"goferPid": 1'],
    ['of a destroyed sandbox', JSON.stringify({ ...whole, sandbox: null })],
    ['of a sandbox that has ended', JSON.stringify({ ...whole, sandbox: { ...whole.sandbox, pid: 0 } })],
    ['with a pid that names a group', JSON.stringify({ ...whole, sandbox: { ...whole.sandbox, pid: -1 } })],
    ['without a socket', JSON.stringify({ ...whole, sandbox: { pid: 11, controlSocketPath: '' } })],
  ])('is RUNTIME_FAILED with a cause when it is %s', async (_, text) => {
    if (text !== null) write(text);
    const error = await readState(home, 'sb1').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'RUNTIME_FAILED', cause: expect.any(Error) });
    expect((error as Error).message).not.toContain(home);
  });

  it('never yields a pid that is no pid, whatever the file holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc
            .record({ goferPid: fc.anything(), sandbox: fc.record({ pid: fc.anything(), controlSocketPath: fc.string() }) })
            .map((value) => JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? null : part)) ?? ''),
        ),
        async (text) => {
          // prettier-ignore
          write(text);
          const state = await readState(home, 'sb1').catch((error: unknown) => error);
          if (state instanceof SandboxError) expect(state.code).toBe('RUNTIME_FAILED');
          else expect(state).toMatchObject({ sandboxPid: expect.toSatisfy((pid: number) => Number.isSafeInteger(pid) && pid > 0) });
        },
      ),
    );
  });
});
