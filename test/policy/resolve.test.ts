import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SandboxError } from '../../src/errors.ts';
import type { Floor, Policy, Profile } from '../../src/policy/profile.ts';
import { resolvePolicy, tighten } from '../../src/policy/resolve.ts';
import { children, floors, policies, roots } from './arbitraries.ts';

const byName = (...profiles: Profile[]): Map<string, Profile> => new Map(profiles.map((profile) => [profile.name, profile]));

const thrownBy = (action: () => unknown): SandboxError => {
  try {
    action();
  } catch (error) {
    if (error instanceof SandboxError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const numbersOf = ({ limits, lifetime, context }: Policy | Floor): Record<string, number> =>
  Object.fromEntries(Object.entries({ ...limits, ...lifetime, ...context }).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));

describe('extends', () => {
  test('without a difference is the parent under another name', () => {
    fc.assert(
      fc.property(roots('parent'), (parent) => {
        const all = byName(parent, { name: 'child', extends: 'parent' });
        expect(resolvePolicy('child', all)).toEqual({ ...resolvePolicy('parent', all), name: 'child' });
      }),
    );
  });

  test('takes from the child what it gives and from the parent what it does not', () => {
    fc.assert(
      fc.property(roots('parent'), children('child', 'parent'), (parent, child) => {
        const all = byName(parent, child);
        const [resolved, inherited] = [resolvePolicy('child', all), resolvePolicy('parent', all)];
        for (const section of ['runtime', 'network', 'rootfs', 'binds', 'workspace', 'context', 'limits', 'lifetime', 'nested_namespaces'] as const)
          expect(resolved[section]).toEqual(child[section] ?? inherited[section]);
        expect(resolved.env.vars).toEqual({ ...inherited.env.vars, ...child.env?.vars });
      }),
    );
  });

  test('of a chain is the same as of its first link resolved', () => {
    fc.assert(
      fc.property(roots('a'), children('b', 'a'), children('c', 'b'), (a, b, c) => {
        const whole = resolvePolicy('c', byName(a, b, c));
        const first: Profile = { ...resolvePolicy('b', byName(a, b)) };
        expect(whole).toEqual(resolvePolicy('c', byName(first, c)));
      }),
    );
  });

  test('changes single fields of a section and keeps the others', () => {
    fc.assert(
      fc.property(roots('parent'), (parent) => {
        const child: Profile = { name: 'child', extends: 'parent', limits: { memory_mb: 7, why: 'small' } };
        const { limits } = resolvePolicy('child', byName(parent, child));
        expect(limits).toEqual({ ...parent.limits, memory_mb: 7, why: 'small' });
      }),
    );
  });

  test('in a circle is refused, however long it is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(), (length, start) => {
        const ring = Array.from({ length }, (_, index): Profile => ({ name: `p${index}`, extends: `p${(index + 1) % length}` }));
        const error = thrownBy(() => resolvePolicy(`p${start % length}`, byName(...ring)));
        expect([error.code, error.message]).toEqual(['POLICY_INVALID', expect.stringMatching(/extends: expected an end, got a circle \(p\d+ → /)]);
      }),
    );
  });

  test('of a policy that is not there names those that are', () => {
    const error = thrownBy(() => resolvePolicy('child', byName({ name: 'child', extends: 'offlin' }, { name: 'offline' })));
    expect([error.code, error.message]).toEqual(['POLICY_INVALID', 'child.json: extends: expected one of child, offline, got "offlin" (string)']);
  });
});

test('a name that no policy has is unknown, and those there are are named', () => {
  const error = thrownBy(() => resolvePolicy('pyhton', byName({ name: 'offline' }, { name: 'scratch' })));
  expect([error.code, error.message]).toEqual(['POLICY_UNKNOWN', 'policy "pyhton" is unknown: offline, scratch are loaded.']);
});

test('a profile that stands alone has to give what it grants, and is granted nothing else', () => {
  fc.assert(
    fc.property(policies, ({ binds: _b, env: _e, nested_namespaces: _n, ...grants }) => {
      const policy = resolvePolicy('mine', byName(grants));
      expect([policy.binds, policy.env.vars, policy.nested_namespaces.allow]).toEqual([[], {}, false]);
    }),
  );
  expect(thrownBy(() => resolvePolicy('mine', byName({ name: 'mine', description: 'x' }))).message).toContain(
    'mine.json: runtime.name: expected "gvisor" or "native", got nothing',
  );
});

test('a policy cannot be changed by who holds it', () => {
  const [root] = fc.sample(roots('a'), 1);
  const policy = resolvePolicy('a', byName(root!));
  expect(() => Object.assign(policy.limits, { memory_mb: 1 })).toThrow(TypeError);
  expect(() => Object.assign(tighten(policy, {}).lifetime, { ttl_s: 1 })).toThrow(TypeError);
});

describe('a floor', () => {
  test('that is the policy itself is not exceeded', () => {
    fc.assert(fc.property(roots('a'), (root) => void resolvePolicy('a', byName(root), { ...root, context: { ...root.context, why: 'x', exclude: [] } })));
  });

  test('is exceeded by no policy that passes it', () => {
    let passes = 0;
    fc.assert(
      fc.property(policies, floors, (policy, floor) => {
        let passed: Policy;
        try {
          passed = resolvePolicy('mine', byName(policy), floor);
        } catch (error) {
          expect(error).toMatchObject({ code: 'POLICY_INVALID', message: expect.stringContaining('expected no more than the floor allows') });
          return;
        }
        passes++;
        const caps = numbersOf(floor);
        for (const [field, number] of Object.entries(numbersOf(passed))) expect(number, field).toBeLessThanOrEqual(caps[field] ?? number);
        expect(passed.nested_namespaces.allow && floor.nested_namespaces?.allow === false).toBe(false);
        expect(passed.binds.length > 0 && floor.binds?.length === 0).toBe(false);
        expect(passed.runtime.name === 'native' && floor.runtime?.name === 'gvisor').toBe(false);
      }),
    );
    expect(passes).toBeGreaterThan(0);
  });

  test('caps a single field: one step below it is refused by name, at it is not', () => {
    fc.assert(
      fc.property(policies, fc.constantFrom('memory_mb', 'cpus', 'pids', 'disk_mb', 'tmp_mb', 'home_mb', 'shm_mb'), (policy, field) => {
        const limit = policy.limits[field];
        expect(resolvePolicy('mine', byName(policy), { name: 'floor', limits: { [field]: limit, why: 'x' } }).limits[field]).toBe(limit);
        const error = thrownBy(() => resolvePolicy('mine', byName(policy), { name: 'floor', limits: { [field]: limit - 0.01, why: 'x' } }));
        expect(error.message).toMatch(
          new RegExp(`^mine\\.json: limits\\.${field}: expected no more than the floor allows, .* \\(number\\), got .* \\(number\\)$`),
        );
      }),
    );
  });

  test('leaves more out of every context, and its lines win', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const { context } = resolvePolicy('mine', byName(policy), { name: 'floor', context: { exclude: ['*.key', '!x'], why: 'x' } });
        expect(context.exclude).toEqual([...policy.context.exclude, '*.key', '!x']);
      }),
    );
  });

  test('may ask for copies to be verified, and cannot be asked not to', () => {
    fc.assert(
      fc.property(policies, fc.boolean(), (policy, verify) => {
        const { context } = resolvePolicy('mine', byName(policy), { name: 'floor', context: { verify, why: 'x' } });
        expect(context.verify).toBe(policy.context.verify || verify);
      }),
    );
  });
});

describe('a request', () => {
  const asked = fc.option(fc.oneof(fc.integer({ min: -5, max: 1 << 21 }), fc.double()), { nil: null });
  const requests = fc.record(
    { limits: fc.record({ memory_mb: asked, cpus: asked, pids: asked, disk_mb: asked }, { requiredKeys: [] }), ttl_s: asked },
    { requiredKeys: [] },
  );

  test('that is accepted gets no more than the policy allows, and what it asked for', () => {
    fc.assert(
      fc.property(policies, requests, (policy, request) => {
        let tightened: Policy;
        try {
          tightened = tighten(policy, request);
        } catch (error) {
          expect(error).toMatchObject({
            code: 'LIMIT_EXCEEDED',
            message: expect.stringMatching(/^(limits\.\w+|ttl_s): asked for .*, the policy "mine" allows /),
          });
          return;
        }
        for (const [field, number] of Object.entries(numbersOf(tightened))) {
          expect(number).toBeGreaterThan(0);
          expect(number, field).toBeLessThanOrEqual(numbersOf(policy)[field]!);
        }
        expect(tightened.limits).toEqual({
          ...policy.limits,
          ...Object.fromEntries(Object.entries(request.limits ?? {}).filter(([, number]) => number !== null)),
        });
        expect({ ...tightened, limits: 0, lifetime: 0 }).toEqual({ ...policy, limits: 0, lifetime: 0 });
      }),
    );
  });

  test('for more names the limit, what was asked and what is allowed', () => {
    fc.assert(
      fc.property(policies, fc.constantFrom('memory_mb', 'cpus', 'pids', 'disk_mb'), (policy, field) => {
        const error = thrownBy(() => tighten(policy, { limits: { [field]: policy.limits[field] + 1 } }));
        expect([error.code, error.message]).toEqual([
          'LIMIT_EXCEEDED',
          `limits.${field}: asked for ${policy.limits[field] + 1}, the policy "mine" allows ${policy.limits[field]}`,
        ]);
      }),
    );
  });

  test('twice is as tight as the tighter one', () => {
    fc.assert(
      fc.property(policies, fc.double({ min: 0.01, max: 1, noNaN: true }), fc.double({ min: 0.01, max: 1, noNaN: true }), (policy, one, other) => {
        const ask = (part: number) => ({ limits: { cpus: policy.limits.cpus * part } });
        expect(tighten(tighten(policy, ask(Math.max(one, other))), ask(Math.min(one, other)))).toEqual(tighten(policy, ask(Math.min(one, other))));
      }),
    );
  });

  test.each([Number.NaN, 0, -1, Number.POSITIVE_INFINITY])('for %d is refused', (ttl_s) => {
    const [policy] = fc.sample(policies, 1);
    expect(thrownBy(() => tighten(policy!, { ttl_s })).code).toBe('LIMIT_EXCEEDED');
  });
});
