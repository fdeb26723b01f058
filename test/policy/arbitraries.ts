/** Random policies and profiles that the schemas accept. */
import fc from 'fast-check';
import { type Floor, type Policy, type Profile, policySchema } from '../../src/policy/profile.ts';

const why = fc.constantFrom('a reason', 'another reason');
const mb = fc.integer({ min: 1, max: 1 << 20 });
const seconds = fc.integer({ min: 1, max: 100_000 });
const folder = fc.constantFrom('models', 'data', 'cache', '..foo', 'a b', 'ü');
const below = (top: string) => fc.array(folder, { minLength: 1, maxLength: 3 }).map((parts) => `${top}/${parts.join('/')}`);
const variable = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/).filter((name) => !name.startsWith('LD_'));
const value = fc.string({ maxLength: 20 }).filter((text) => !text.includes('\0'));
export const variables = fc.dictionary(variable, value, { maxKeys: 4, noNullPrototype: true });

const sections = {
  runtime: fc.record({ name: fc.constantFrom('gvisor', 'native'), platform: fc.constantFrom('systrap', 'ptrace', 'kvm'), why }),
  network: fc.record({ mode: fc.constant('none'), why }),
  rootfs: fc.record({
    source: fc.oneof(fc.constant('host'), below('/srv')),
    toolchains: fc.array(fc.record({ path: below('/opt'), why }), { maxLength: 3 }),
    why,
  }),
  binds: fc.uniqueArray(fc.record({ source: below('/srv'), destination: below('/mnt'), mode: fc.constantFrom('read-only', 'read-write'), why }), {
    maxLength: 3,
    selector: ({ destination }) => destination,
  }),
  workspace: fc.record({ mode: fc.constantFrom('copy', 'read-only'), layout: fc.constantFrom('auto', 'overlay', 'plain'), why }),
  context: fc.record({
    exclude: fc.array(fc.constantFrom('*.sql', 'dist/', '!keep.sql'), { maxLength: 3 }),
    include: fc.array(fc.constantFrom('.env', 'config/id_rsa'), { maxLength: 2 }),
    max_files: mb,
    max_mb: mb,
    verify: fc.boolean(),
    why,
  }),
  limits: fc.record({
    memory_mb: mb,
    cpus: fc.integer({ min: 1, max: 6400 }).map((n) => n / 100),
    pids: mb,
    disk_mb: mb,
    tmp_mb: mb,
    home_mb: mb,
    shm_mb: mb,
    why,
  }),
  lifetime: fc.record({ ttl_s: seconds, idle_s: seconds, exec_timeout_ms: mb, why }),
  env: fc.record({ vars: variables, why }),
  nested_namespaces: fc.record({ allow: fc.boolean(), why }),
};

/** A policy in full. */
export const policies: fc.Arbitrary<Policy> = fc
  .record({ name: fc.constant('mine'), description: fc.constant('a policy'), ...sections })
  .map((policy) => policySchema.parse(policy));

/** A profile without `extends`, which is a policy in full. */
export const roots = (name: string): fc.Arbitrary<Profile> => policies.map((policy) => ({ ...policy, name }));

const someSections = fc.record(sections, { requiredKeys: [] }).map((given) => policySchema.partial().parse(given));

/** A profile that gives some sections of its own. */
export const children = (name: string, parent: string): fc.Arbitrary<Profile> => someSections.map((given) => ({ ...given, name, extends: parent }));

/** A floor that caps a section or two. */
export const floors: fc.Arbitrary<Floor> = fc
  .tuple(policies, fc.subarray(Object.keys(sections) as (keyof typeof sections)[], { maxLength: 2 }))
  .map(([policy, capped]) => ({ name: 'floor', ...Object.fromEntries(capped.map((section) => [section, policy[section]])) }));
