import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SandboxError } from '../../src/errors.ts';
import { loadPolicies, type Policies, trustedPath } from '../../src/policy/load.ts';

const shippedDirectory = new URL('../../policies', import.meta.url).pathname;
const isRoot = process.geteuid?.() === 0;
const needsRoot = isRoot ? test : test.skip;

/** A place whose parents nobody else can write, and in it a directory of policies. */
let place: string;
let directory: string;

beforeEach(() => {
  place = mkdtempSync(join(isRoot ? '/var/lib' : homedir(), 'cellwall-policies-'));
  directory = join(place, 'policies');
  mkdirSync(directory, { mode: 0o755 });
});
afterEach(() => rmSync(place, { recursive: true }));

const write = (file: string, content: unknown, where = directory): string => {
  const path = join(where, file);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o644 });
  chmodSync(path, 0o644);
  return path;
};
const small = (name: string) => ({ name, extends: 'offline', limits: { memory_mb: 100, why: 'small' } });
const load = (sources: { directory?: string; floorFile?: string; allowedRoots?: string[] } = {}): Policies =>
  loadPolicies({ shippedDirectory, allowedRoots: [], directory, ...sources });
const refusal = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'POLICY_INVALID') return error.message;
    throw error;
  }
  return '';
};

describe('the shipped policies', () => {
  const shipped = loadPolicies({ shippedDirectory, allowedRoots: [] });

  test('are offline and scratch', () => {
    expect(shipped.names).toEqual(['offline', 'scratch']);
  });

  test.each([
    ['offline', { memory_mb: 2048, cpus: 2, pids: 1024, disk_mb: 2048 }, { ttl_s: 14_400, idle_s: 1800 }],
    ['scratch', { memory_mb: 512, cpus: 1, pids: 512, disk_mb: 256 }, { ttl_s: 900, idle_s: 300 }],
  ])('have the limits of the contract: %s', (name, limits, lifetime) => {
    const policy = shipped.get(name);
    expect(policy.limits).toMatchObject({ ...limits, tmp_mb: 512, home_mb: 256, shm_mb: 64 });
    expect(policy.lifetime).toMatchObject({ ...lifetime, exec_timeout_ms: 3_600_000 });
    expect(policy.context).toMatchObject({ max_files: 200_000, max_mb: 2048 });
  });

  test.each(['offline', 'scratch'])('grant no network, no bind, no namespace, and gVisor: %s', (name) => {
    const { network, binds, nested_namespaces: nested, runtime } = shipped.get(name);
    expect([network.mode, binds, nested.allow, runtime.name]).toEqual(['none', [], false, 'gvisor']);
  });

  test('are named when another is asked for', () => {
    expect(() => shipped.get('x')).toThrowError(
      expect.objectContaining({ code: 'POLICY_UNKNOWN', message: 'policy "x" is unknown: offline, scratch are loaded.' }),
    );
  });
});

describe('a profile of the operator', () => {
  test('is loaded beside the shipped ones, and what is no profile is passed over', () => {
    write('small.json', small('small'));
    write('README.md', 'text');
    write('schema.json', '{}');
    write('.draft.json', '{');
    const policies = load();
    expect(policies.names).toEqual(['offline', 'scratch', 'small']);
    expect(policies.get('small').limits.memory_mb).toBe(100);
  });

  test('may be a copy of a shipped one under its own name', () => {
    write('mine.json', { ...JSON.parse(readFileSync(join(shippedDirectory, 'offline.json'), 'utf8')), name: 'mine' });
    expect(load().get('mine').limits).toEqual(load().get('offline').limits);
  });

  test('is read once: what is written later changes nothing', () => {
    write('small.json', small('small'));
    const policies = load();
    write('small.json', { ...small('small'), limits: { memory_mb: 9999, why: 'x' } });
    expect(policies.get('small').limits.memory_mb).toBe(100);
  });

  test('may not take a shipped name', () => {
    write('offline.json', small('offline'));
    expect(refusal(load)).toBe('offline.json: name: expected one that cellwall does not ship itself, got "offline" (string)');
  });

  test('has the name of its file', () => {
    write('small.json', small('tiny'));
    expect(refusal(load)).toBe('small.json: name: expected that of the file, got "tiny" (string)');
  });

  test('that breaks the schema is named with the field', () => {
    write('small.json', { ...small('small'), limits: { memory_mb: 'many', why: 'x' } });
    expect(refusal(load)).toBe('small.json: limits.memory_mb: expected a positive integer, got "many" (string)');
  });

  test.each([
    ['{"name": "small"', /^small\.json: expected JSON in UTF-8, got .*JSON/],
    ['', /^small\.json: expected JSON in UTF-8, got /],
    ['[]', /^small\.json: expected an object, got \[\] \(array\)$/],
    ['null', /^small\.json: expected an object, got null \(null\)$/],
  ])('that is no JSON object is named: %j', (content, message) => {
    write('small.json', content);
    expect(refusal(load)).toMatch(message);
  });

  test('that is no UTF-8 is refused', () => {
    writeFileSync(write('small.json', ''), Buffer.from([0x22, 0xff, 0x22]));
    expect(refusal(load)).toMatch(/^small\.json: expected JSON in UTF-8, got /);
  });
});

describe('a file that somebody else could have written is refused:', () => {
  test.each([0o664, 0o646])('mode %o', (mode) => {
    chmodSync(write('small.json', small('small')), mode);
    expect(refusal(load)).toMatch(/^small\.json: expected a file that is writable by its owner alone, got mode 0/);
  });

  test('a link, wherever it leads', () => {
    symlinkSync(write('small.json', small('small'), place), join(directory, 'small.json'));
    expect(refusal(load)).toBe('small.json: expected a file that is no link, got ELOOP');
  });

  test('a FIFO, without waiting for its writer', () => {
    execFileSync('mkfifo', ['-m', '600', join(directory, 'small.json')]);
    expect(refusal(load)).toBe('small.json: expected a regular file, got another kind');
  });

  needsRoot('one of another user (needs root to make one)', () => {
    chownSync(write('small.json', small('small')), 1234, 0);
    expect(refusal(load)).toBe('small.json: expected a file of root or the user of cellwall, got one of user 1234');
  });

  test('one that is no text that a person wrote', () => {
    write('small.json', ' '.repeat((1 << 20) + 1));
    expect(refusal(load)).toBe('small.json: expected at most 1048576 bytes, got 1048577');
  });
});

describe('a directory of policies', () => {
  test.each([0o775, 0o757, 0o1777])('that others may write is refused: mode %o', (mode) => {
    chmodSync(directory, mode);
    expect(refusal(load)).toContain(`expected ${directory} to be writable by its owner alone, got mode `);
  });

  test('below one that others may write is refused', () => {
    chmodSync(place, 0o777);
    expect(refusal(load)).toContain(`expected ${place} to be writable by its owner alone, got mode 0777`);
  });

  test('below the sticky directory for temporary files is refused', () => {
    const temporary = mkdtempSync(join(tmpdir(), 'cellwall-policies-'));
    try {
      expect(refusal(() => load({ directory: temporary }))).toMatch(/to be writable by its owner alone, got mode 1777$/);
    } finally {
      rmSync(temporary, { recursive: true });
    }
  });

  test('that is not there is refused', () => {
    expect(refusal(() => load({ directory: join(place, 'none') }))).toContain('got ENOENT');
  });

  test('behind a link is judged where it lies and on all the way', () => {
    const [open, link] = [join(place, 'open'), join(place, 'link')];
    mkdirSync(open);
    symlinkSync('policies', link);
    expect(trustedPath(link)).toBe(directory);
    symlinkSync(directory, join(open, 'hop'));
    symlinkSync('open/hop/../policies', join(place, 'round'));
    expect(trustedPath(join(place, 'round'))).toBe(directory);
    chmodSync(open, 0o777);
    expect(refusal(() => trustedPath(join(place, 'round')))).toContain(`expected ${open} to be writable by its owner alone`);
  });

  test('behind links in a circle is refused', () => {
    symlinkSync('b', join(place, 'a'));
    symlinkSync('a', join(place, 'b'));
    expect(refusal(() => trustedPath(join(place, 'a')))).toContain('expected at most 40 links');
  });

  needsRoot('of another user, or behind their link, is refused (needs root to make one)', () => {
    symlinkSync(directory, join(place, 'link'));
    execFileSync('chown', ['-h', '1234', join(place, 'link')]);
    expect(refusal(() => load({ directory: join(place, 'link') }))).toContain(
      `expected ${join(place, 'link')} to belong to root or the user of cellwall, got user 1234`,
    );
    chownSync(directory, 1234, 0);
    expect(refusal(load)).toContain(`expected ${directory} to belong to root or the user of cellwall, got user 1234`);
  });

  test('in an allowed root is refused, by whatever path the root is named', () => {
    symlinkSync(place, join(place, 'again'));
    for (const root of [directory, place, join(place, 'again'), '/'])
      expect(
        refusal(() => load({ allowedRoots: ['/nowhere', root] })),
        root,
      ).toContain('expected a place outside of all allowed roots');
  });

  test('beside or around an allowed root is taken', () => {
    for (const name of ['policies-evil', 'policies/project']) mkdirSync(join(place, name));
    expect(load({ allowedRoots: ['policies-evil', 'policies/project'].map((name) => join(place, name)) }).names).toContain('offline');
  });
});

describe('a floor', () => {
  const floor = (caps: object): string => write('floor.json', { name: 'floor', description: 'no more than this', ...caps }, place);

  test('that a profile of the operator exceeds stops the start, naming the field', () => {
    write('small.json', small('small'));
    const floorFile = floor({ limits: { memory_mb: 99, why: 'a small machine' } });
    expect(refusal(() => load({ floorFile }))).toBe('small.json: limits.memory_mb: expected no more than the floor allows, 99 (number), got 100 (number)');
  });

  test('that a shipped policy exceeds takes it away, and says why when it is asked for', () => {
    write('small.json', { ...small('small'), extends: 'offline' });
    const policies = load({ floorFile: floor({ limits: { memory_mb: 1000, why: 'a small machine' } }) });
    expect(policies.names).toEqual(['scratch', 'small']);
    expect(refusal(() => policies.get('offline'))).toBe(
      'offline.json: limits.memory_mb: expected no more than the floor allows, 1000 (number), got 2048 (number)',
    );
  });

  test('leaves its lines out of every context', () => {
    expect(load({ floorFile: floor({ context: { exclude: ['*.key'], why: 'keys' } }) }).get('offline').context.exclude).toEqual(['*.key']);
  });

  test.each<[string, (path: string) => void]>([
    ['that others may write', (path) => chmodSync(path, 0o666)],
    ['in a directory that others may write', () => chmodSync(place, 0o777)],
    ['that is a link', (path) => (renameSync(path, `${path}~`), symlinkSync(`${path}~`, path))],
    ['that extends', (path) => writeFileSync(path, JSON.stringify({ name: 'floor', extends: 'offline' }))],
    ['that is not there', (path) => rmSync(path)],
  ])('%s is refused', (_, spoil) => {
    const floorFile = floor({});
    spoil(floorFile);
    expect(refusal(() => load({ floorFile }))).toMatch(/expected /);
  });

  test('in an allowed root is refused', () => {
    expect(refusal(() => loadPolicies({ shippedDirectory, floorFile: floor({}), allowedRoots: [place] }))).toContain('outside of all allowed roots');
  });
});
