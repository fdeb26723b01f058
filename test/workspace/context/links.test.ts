import fc from 'fast-check';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLinkKept } from '../../../src/workspace/context/links.ts';

const kept = (path: string, target: string) => isLinkKept('/work/app', path, target);

describe('a link', () => {
  it('that stays in the context is kept, also when it dangles', () => {
    for (const [path, target] of [
      ['a', 'b'],
      ['a', './b/../c'],
      ['x/y/z', '../../b'],
      ['x/y', '..'],
      ['a', '..foo/b'],
      ['a', '/work/app/b'],
      ['a', '/work/app'],
    ] as const)
      expect([path, target, kept(path, target)]).toEqual([path, target, true]);
  });

  it('that leaves it is left out, also when it comes back by name', () => {
    for (const [path, target] of [
      ['a', '..'],
      ['a', '../..'],
      ['x/y', '../../b'],
      ['a', '../app/b'],
      ['a', '/etc/passwd'],
      ['a', '/work/app/../other'],
      ['a', '/work/app-evil'],
      ['a', '/'],
      ['a', '/proc/self/root/usr/x'],
    ] as const)
      expect([path, target, kept(path, target)]).toEqual([path, target, false]);
  });

  it('to what every system has is kept', () => {
    for (const target of ['/usr/bin/env', '/bin/sh', '/lib64/x', '/libx32/y', '/opt/tool/bin', '/etc/alternatives/vi', '../../usr/share/x'])
      expect(kept('a', target)).toBe(true);
    for (const target of ['/usr', '/library', '/etc/alternativesx/y', '/usr/../etc/passwd', '/binary/x', '/usr/../root/.ssh'])
      expect(kept('a', target)).toBe(false);
  });

  it('is kept only if it resolves below the context or a system directory, whatever its parts are', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'app', 'work', 'usr', 'etc', '..x');
    fc.assert(
      fc.property(fc.array(part), fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 }), fc.boolean(), (parts, path, absolute) => {
        const target = `${absolute ? '/' : ''}${parts.join('/')}` || '.';
        const place = posix.resolve('/work/app', posix.dirname(path.join('/')), target);
        if (kept(path.join('/'), target)) expect(place).toMatch(/^\/(?:work\/app(?:\/|$)|usr\/)/);
      }),
    );
  });
});
