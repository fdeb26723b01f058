import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseAs } from '../../src/policy/issues.ts';
import { profileJsonSchema, profileSchema } from '../../src/policy/profile.ts';

const said = (profile: object): string => {
  try {
    parseAs(profileSchema, { name: 'mine', extends: 'offline', ...profile }, 'mine.json');
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

test('policies/schema.json is the schema that files are judged by', () => {
  const file = readFileSync(new URL('../../policies/schema.json', import.meta.url), 'utf8');
  expect(file).toBe(`${JSON.stringify(profileJsonSchema(), null, 2)}\n`);
});

test('every field says what happens when it is left out', () => {
  const fields = (schema: unknown, path = ''): [string, string][] => {
    if (typeof schema !== 'object' || schema === null) return [];
    const { properties = {}, items } = schema as { properties?: Record<string, { description?: string }>; items?: unknown };
    return [
      ...Object.entries(properties).flatMap(([name, field]): [string, string][] => [
        [`${path}${name}`, field.description ?? ''],
        ...fields(field, `${path}${name}.`),
      ]),
      ...fields(items, path),
    ];
  };
  const found = fields(profileJsonSchema());
  expect(found.length).toBeGreaterThan(40);
  expect(found.filter(([, description]) => !/ Left out: \S/.test(description))).toEqual([]);
});

describe('a profile is refused, with the field, what was expected and what came:', () => {
  test.each([
    [{ limits: { memory_mb: 'many', why: 'x' } }, 'mine.json: limits.memory_mb: expected a positive integer, got "many" (string)'],
    [{ limits: { pids: 0, why: 'x' } }, 'mine.json: limits.pids: expected a positive integer, got 0 (number)'],
    [{ limits: { disk_mb: 1.5, why: 'x' } }, 'mine.json: limits.disk_mb: expected a positive integer, got 1.5 (number)'],
    [{ lifetime: { ttl_s: 9e6, why: 'x' } }, 'mine.json: lifetime.ttl_s: expected a positive integer of at most 2147483, got 9000000 (number)'],
    [{ limits: { pids: 5 } }, 'mine.json: limits.why: expected a reason in words, got nothing'],
    [{ limits: { pids: 5, why: ' ' } }, 'mine.json: limits.why: expected a reason in words, got " " (string)'],
    [{ limit: {} }, 'mine.json: limit: expected no field of this name, got {} (object)'],
    [{ network: { mode: 'host', why: 'x' } }, 'mine.json: network.mode: expected "none", got "host" (string)'],
    [
      { extends: '../offline' },
      'mine.json: extends: expected at most 40 lower-case letters, digits, "-" and "_" that begin with a letter, got "../offline" (string)',
    ],
    [
      { extends: '/etc/offline.json' },
      'mine.json: extends: expected at most 40 lower-case letters, digits, "-" and "_" that begin with a letter, got "/etc/offline.json" (string)',
    ],
    [
      { env: { vars: { LD_PRELOAD: 'x' }, why: 'x' } },
      'mine.json: env.vars.LD_PRELOAD: expected a variable that does not make the loader run other code in every program',
    ],
    [{ binds: {} }, 'mine.json: binds: expected an array, got {} (object)'],
    [
      { binds: [{ source: '/srv', destination: '/usr', mode: 'read-only', why: 'x' }] },
      'mine.json: binds.0.destination: expected a place outside of /usr, /bin, /lib*',
    ],
    [
      { binds: ['a', 'b'].map((name) => ({ source: `/srv/${name}`, destination: '/a', mode: 'read-only', why: 'x' })) },
      'mine.json: binds.1.destination: expected a place that no other bind has',
    ],
    [
      { context: { include: ['../x'], why: 'x' } },
      'mine.json: context.include.0: expected a path relative to the context without ".", ".." or "//", got "../x" (string)',
    ],
    [{ context: { exclude: ['a\nb'], why: 'x' } }, 'mine.json: context.exclude.0: expected one line of .gitignore that is not empty'],
    [{ rootfs: { toolchains: [{ path: '/opt/go' }], why: 'x' } }, 'mine.json: rootfs.toolchains.0.why: expected a reason in words, got nothing'],
  ])('%j', (profile, message) => {
    expect(said(profile)).toContain(message);
  });

  test('all findings at once, and a long value cut', () => {
    expect(said({ name: 'x'.repeat(99), runtime: { name: 'docker', why: '' } })).toMatch(
      /^mine\.json: name: .*, got "x{59}… \(string\); runtime\.name: .*; runtime\.why: /,
    );
  });
});

test('a profile that extends gives only what differs', () => {
  expect(said({ limits: { memory_mb: 4096, why: 'rustc' } })).toBe('');
});
