/** From profiles to policies: extends-chains, the floor, and what a request asks for less of. Pure. */
import { SandboxError } from '../errors.ts';
import { excessOf, withFloor } from './floor.ts';
import { invalid, parseAs, shown } from './issues.ts';
import { type Floor, type Policy, policySchema, type Profile } from './profile.ts';

/** What a request may ask for less of. `null` means left out. */
export interface Request {
  readonly limits?: Readonly<Partial<Record<'memory_mb' | 'cpus' | 'pids' | 'disk_mb', number | null | undefined>>> | null | undefined;
  readonly ttl_s?: number | null | undefined;
}

/**
 * The policy of this name with all that it extends, frozen. A profile that extends overrides field by field: it is the operator's word, and the floor is what caps it.
 * POLICY_UNKNOWN for a name that is not there; POLICY_INVALID for a chain that is broken or goes round, a field that is missing in the end, or one that exceeds the floor.
 */
export const resolvePolicy = (name: string, profiles: ReadonlyMap<string, Profile>, floor?: Floor): Policy => {
  if (!profiles.has(name)) throw unknownPolicy(name, [...profiles.keys()]);
  const merged = chainOf(name, profiles).reduceRight<Fields>((parent, profile) => override(parent, grantsOf(profile)), NOTHING_GRANTED);
  const policy: Policy = parseAs(policySchema, merged, `${name}.json`);
  if (floor === undefined) return freeze(policy);
  const excess = excessOf(policy, floor);
  if (excess !== undefined)
    throw invalid(`${name}.json`, `${excess.field}: expected no more than the floor allows, ${shown(excess.allowed)}, got ${shown(excess.asked)}`);
  return freeze(withFloor(policy, floor));
};

/** The policy with what a request asks for, all of it no more than the policy allows; more is LIMIT_EXCEEDED, naming the limit, what was asked and what is allowed. */
export const tighten = (policy: Policy, { limits, ttl_s }: Request): Policy => {
  const cap = (field: string, asked: number | null | undefined, allowed: number): number => {
    if (asked === undefined || asked === null) return allowed;
    // Not `asked > allowed`: that would let NaN through.
    if (asked > 0 && asked <= allowed) return asked;
    throw new SandboxError('LIMIT_EXCEEDED', `${field}: asked for ${asked}, the policy "${policy.name}" allows ${allowed}`);
  };
  return freeze({
    ...policy,
    limits: {
      ...policy.limits,
      memory_mb: cap('limits.memory_mb', limits?.memory_mb, policy.limits.memory_mb),
      cpus: cap('limits.cpus', limits?.cpus, policy.limits.cpus),
      pids: cap('limits.pids', limits?.pids, policy.limits.pids),
      disk_mb: cap('limits.disk_mb', limits?.disk_mb, policy.limits.disk_mb),
    },
    lifetime: { ...policy.lifetime, ttl_s: cap('ttl_s', ttl_s, policy.lifetime.ttl_s) },
  });
};

/** The error for a name that no policy has. */
export const unknownPolicy = (name: string, names: readonly string[]): SandboxError =>
  new SandboxError('POLICY_UNKNOWN', `policy ${JSON.stringify(name)} is unknown: ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} loaded.`);

/** Sections as they are merged, before the schema of a whole policy judges them. */
type Fields = Readonly<Record<string, unknown>>;

/** Where every chain begins: what grants something has to be given, what is left out grants nothing. */
const NOTHING_GRANTED: Fields = {
  runtime: { platform: 'systrap' },
  rootfs: { toolchains: [] },
  binds: [],
  workspace: { layout: 'auto' },
  context: { exclude: [], include: [], verify: false },
  env: { vars: {}, why: 'The policy sets no variable.' },
  nested_namespaces: { allow: false, why: 'The policy does not grant it.' },
};

// The profile first, then what it extends, then what that extends.
const chainOf = (name: string, profiles: ReadonlyMap<string, Profile>): Profile[] => {
  const chain: Profile[] = [];
  const passed: string[] = [];
  for (let next: string | undefined = name; next !== undefined;) {
    if (passed.includes(next)) throw invalid(`${name}.json`, `extends: expected an end, got a circle (${[...passed, next].join(' → ')})`);
    const profile = profiles.get(next);
    if (profile === undefined) throw invalid(`${passed.at(-1)}.json`, `extends: expected one of ${[...profiles.keys()].join(', ')}, got ${shown(next)}`);
    passed.push(next);
    chain.push(profile);
    next = profile.extends;
  }
  return chain;
};

const grantsOf = (profile: Profile): Fields => Object.fromEntries(Object.entries(profile).filter(([key]) => key !== '$schema' && key !== 'extends'));

// Sections field by field; a list or a single value replaces the inherited one.
const override = (parent: Fields, child: Fields): Fields =>
  Object.fromEntries(
    [...new Set([...Object.keys(parent), ...Object.keys(child)])].map((key) => {
      const [inherited, own] = [parent[key], child[key]];
      return [key, own === undefined ? inherited : isFields(inherited) && isFields(own) ? override(inherited, own) : own];
    }),
  );

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
};
