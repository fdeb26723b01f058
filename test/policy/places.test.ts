import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  absolutePathRefusal,
  bindDestinationRefusal,
  bindSourceRefusal,
  isWithin,
  relativePathRefusal,
  rootfsRefusal,
  toolchainRefusal,
  variableRefusal,
} from '../../src/policy/places.ts';

describe('a path', () => {
  test.each(['', 'a', 'a/b', '/a/', '//a', '/a//b', '/.', '/a/..', '/a/./b', '/a\0b', '/a\nb', '/a\u0085b'])('%j is not absolute and normal', (path) => {
    expect(absolutePathRefusal(path)).toMatch(/^expected /);
  });

  test.each(['/', '/a', '/..foo/.bar', '/a b/ü'])('%j is absolute and normal', (path) => {
    expect(absolutePathRefusal(path)).toBeUndefined();
  });

  test.each(['', '/a', '../a', 'a/../b', './a', 'a/'])('%j is not relative and normal', (path) => {
    expect(relativePathRefusal(path)).toMatch(/^expected /);
  });

  test('that passes is the same after normalisation', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', '.', '..', '', '..b'), { maxLength: 5 }), (parts) => {
        const path = `/${parts.join('/')}`;
        fc.pre(absolutePathRefusal(path) === undefined);
        expect(new URL(`file://${path}`).pathname).toBe(path);
      }),
    );
  });

  test('with a common beginning is not within', () => {
    expect([isWithin('/work-evil', '/work'), isWithin('/work/x', '/work'), isWithin('/work', '/work'), isWithin('/x', '/')]).toEqual([false, true, true, true]);
  });
});

describe('a bind', () => {
  const PRIVATE = [
    '/',
    '/proc',
    '/proc/1',
    '/sys',
    '/dev/sda',
    '/etc',
    '/etc/ssl',
    '/root',
    '/root/x',
    '/boot',
    '/run',
    '/run/docker.sock',
    '/var/run',
    '/var/log/a',
    '/var',
    '/home',
    '/home/me',
  ];

  test.each(PRIVATE)('does not come from %s', (path) => {
    expect(bindSourceRefusal(path)).toMatch(/^expected /);
  });

  test.each(['/srv/models', '/home/me/data', '/var/lib/data', '/etcetera', '/running'])('may come from %s', (path) => {
    expect(bindSourceRefusal(path)).toBeUndefined();
  });

  const RESERVED = [
    '/',
    '/usr',
    '/usr/local/x',
    '/bin',
    '/lib',
    '/lib64',
    '/libx32/a',
    '/sbin',
    '/etc/passwd',
    '/proc',
    '/sys/fs',
    '/dev/shm',
    '/run/cellwall',
    '/workspace',
    '/tmp',
    '/home',
    '/home/agent',
  ];

  test.each(RESERVED)('is not mounted at %s', (path) => {
    expect(bindDestinationRefusal(path)).toMatch(/^expected /);
  });

  test.each(['/models', '/workspace/node_modules', '/home/agent/.cache', '/mnt/usr', '/opt/lib'])('may be mounted at %s', (path) => {
    expect(bindDestinationRefusal(path)).toBeUndefined();
  });
});

describe('programs', () => {
  test.each(['/root', '/home/me', '/etc', '/', '/usr/local/go', '/workspace/bin', '/tmp/go'])('are not taken from %s', (path) => {
    expect(toolchainRefusal(path)).toMatch(/^expected /);
  });

  test.each(['/home/me/.nvm/versions/node/v22.1.0', '/root/.pyenv', '/opt/go', '/nix/store'])('may be taken from %s', (path) => {
    expect(toolchainRefusal(path)).toBeUndefined();
  });

  test('of another rootfs may lie anywhere but in the private places', () => {
    expect(rootfsRefusal('/srv/rootfs')).toBeUndefined();
    expect(rootfsRefusal('/')).toMatch(/^expected /);
  });
});

describe('a variable', () => {
  test.each(['LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'LD_DEBUG', 'LD_PROFILE', '', '1A', 'A-B', 'A=B', 'A\0', 'Ä', 'A\n'])('%j may not be set', (name) => {
    expect(variableRefusal(name)).toMatch(/^expected /);
  });

  test.each(['PATH', '_', 'CI', 'ld_preload', 'LD_'])('%j may be set', (name) => {
    expect(variableRefusal(name)).toBeUndefined();
  });
});
