/** The sections of a policy, each a grant with its `why`. Complete here; profile.ts makes the file's form of them, in which fields may be left out. */
import { z } from 'zod';
import { bindDestinationRefusal, bindSourceRefusal, relativePathRefusal, rootfsRefusal, toolchainRefusal, variableRefusal } from './places.ts';

/** What becomes of a field that a file does not give. */
export const LEFT_OUT = 'Left out: as in the policy that `extends` names; a profile without `extends` has to give it.';
export const NONE_LEFT_OUT = 'Left out: as in the policy that `extends` names; without `extends` none.';
const REFUSED = 'Left out: the file is refused.';

const MAX_INTEGER = 2 ** 31 - 1;
/** Seconds that a timer of Node counts to: 2³¹ `ms`. */
const MAX_SECONDS = 2_147_483;

/** A string that holds something to read. */
export const words = (kind: string) => z.string(`expected ${kind} in words`).regex(/\S/, `expected ${kind} in words`);

/** The name of a policy: also that of its file, and a word on the wire. */
export const policyName = z
  .string('expected the name of a policy')
  .regex(/^[a-z][a-z0-9_-]{0,39}$/, 'expected at most 40 lower-case letters, digits, "-" and "_" that begin with a letter');

const integer = (max: number = MAX_INTEGER) => {
  const expected = max === MAX_INTEGER ? 'expected a positive integer' : `expected a positive integer of at most ${max}`;
  return z.int(expected).min(1, expected).max(max, expected);
};

// A string that a rule of places.ts judges: the rule's words are the message.
const judged = (kind: string, refusal: (value: string) => string | undefined) =>
  z.string(`expected ${kind}`).superRefine((value, context) => {
    const message = refusal(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const ignoreLine = z.string('expected a line of .gitignore').regex(/^[^\0\r\n]*\S[^\0\r\n]*$/, 'expected one line of .gitignore that is not empty');

export const why = words('a reason').describe(
  `Why this is granted, for people and models: \`cellwall policy explain\` and /run/cellwall/policy.json show it. ${REFUSED}`,
);

export const runtime = z.strictObject({
  name: z
    .enum(['gvisor', 'native'], 'expected "gvisor" or "native"')
    .describe(`What runs the sandbox: a kernel of its own (gvisor) or namespaces of the host's (native). ${LEFT_OUT}`),
  platform: z
    .enum(['systrap', 'ptrace', 'kvm'], 'expected "systrap", "ptrace" or "kvm"')
    .describe('How gVisor gets hold of system calls; native has no use for it. Left out: as in the policy that `extends` names; without `extends` systrap.'),
  why,
});

export const network = z.strictObject({
  mode: z.enum(['none'], 'expected "none"').describe(`What can be reached: with none a loopback of its own and nothing else. ${LEFT_OUT}`),
  why,
});

const toolchain = z.strictObject({
  path: judged('an absolute path', toolchainRefusal).describe(
    `Directory of the host that appears read-only at the same path, its \`bin\` first in PATH, e.g. "/home/me/.nvm/versions/node/v22.1.0". ${REFUSED}`,
  ),
  why,
});

export const rootfs = z.strictObject({
  source: judged('"host" or an absolute path', (path) => (path === 'host' ? undefined : rootfsRefusal(path))).describe(
    `Where /usr, /bin, /lib* and /sbin come from, read-only: "host", or a directory with another rootfs, e.g. "/srv/rootfs/debian". ${LEFT_OUT}`,
  ),
  toolchains: z.array(toolchain).describe(`Programs that lie outside of /usr. Replaces the inherited list. ${NONE_LEFT_OUT}`),
  why,
});

const bind = z.strictObject({
  source: judged('an absolute path', bindSourceRefusal).describe(
    `Directory of the host that is shown inside as it is, not copied, e.g. "/srv/models". ${REFUSED}`,
  ),
  destination: judged('an absolute path', bindDestinationRefusal).describe(`Where it appears inside, e.g. "/models". ${REFUSED}`),
  mode: z
    .enum(['read-only', 'read-write'], 'expected "read-only" or "read-write"')
    .describe(`With read-write a program inside changes files of the host. ${REFUSED}`),
  why,
});

export const binds = z.array(bind).superRefine((list, context) => {
  for (const [index, { destination }] of list.entries())
    if (list.findIndex((other) => other.destination === destination) < index)
      context.addIssue({ code: 'custom', message: 'expected a place that no other bind has', path: [index, 'destination'] });
});

export const workspace = z.strictObject({
  mode: z
    .enum(['copy', 'read-only'], 'expected "copy" or "read-only"')
    .describe(`What /workspace is: with copy the sandbox's own copy of the context, with read-only one that nothing inside can write. ${LEFT_OUT}`),
  layout: z
    .enum(['auto', 'overlay', 'plain'], 'expected "auto", "overlay" or "plain"')
    .describe(
      'How a context gets there: with overlay the stored copy that all sandboxes share lies below what this one changes, where that does not work the create fails; with plain each sandbox has a whole copy of its own, which counts as `disk_mb`; with auto an overlay where it works, else plain with a warning. Left out: as in the policy that `extends` names; without `extends` auto.',
    ),
  why,
});

export const context = z.strictObject({
  exclude: z
    .array(ignoreLine)
    .describe(
      `Lines of .gitignore: what is left out besides the secrets that always are, e.g. ["*.sql", "dist/"]. Replaces the inherited list. ${NONE_LEFT_OUT}`,
    ),
  include: z
    .array(judged('a path relative to the context', relativePathRefusal))
    .describe(`Exact paths that are copied although they look like secrets, e.g. [".env.test"]. Replaces the inherited list. ${NONE_LEFT_OUT}`),
  max_files: integer().describe(`Files a context may have; with more the create is refused. ${LEFT_OUT}`),
  max_mb: integer().describe(`Size a context may have in MiB; with more the create is refused. ${LEFT_OUT}`),
  verify: z
    .boolean('expected true or false')
    .describe(
      'Whether the stored copy of a context is compared with its hashes before each use, and made anew when it is damaged; it costs about as much as reading all of it. Left out: as in the policy that `extends` names; without `extends` false.',
    ),
  why,
});

export const limits = z.strictObject({
  memory_mb: integer().describe(`Memory of all programs together in MiB; what exceeds it is killed. ${LEFT_OUT}`),
  cpus: z
    .number('expected a number of processors')
    .min(0.01, 'expected at least 0.01')
    .max(4096, 'expected at most 4096')
    .describe(`Processors; 0.5 is half the time of one. ${LEFT_OUT}`),
  pids: integer().describe(`Processes and threads at one time; with more a fork fails. ${LEFT_OUT}`),
  disk_mb: integer().describe(`What may be written to /workspace in MiB; full is ENOSPC. ${LEFT_OUT}`),
  tmp_mb: integer().describe(`Size of /tmp in MiB; full is ENOSPC. ${LEFT_OUT}`),
  home_mb: integer().describe(`Size of /home/agent in MiB; full is ENOSPC. ${LEFT_OUT}`),
  shm_mb: integer().describe(`Size of /dev/shm in MiB; full is ENOSPC. ${LEFT_OUT}`),
  why,
});

export const lifetime = z.strictObject({
  ttl_s: integer(MAX_SECONDS).describe(`Seconds after its creation at which a sandbox is destroyed. ${LEFT_OUT}`),
  idle_s: integer(MAX_SECONDS).describe(`Seconds without a call and without a running exec after which it is destroyed. ${LEFT_OUT}`),
  exec_timeout_ms: integer().describe(`Longest \`timeout_ms\` that an exec may ask for. ${LEFT_OUT}`),
  why,
});

export const env = z.strictObject({
  vars: z
    .record(judged('a name', variableRefusal), z.string('expected a string').regex(/^[^\0]*$/, 'expected a string without NUL'))
    .describe(`Variables of every exec, e.g. {"CI": "1"}. Added to the inherited ones. ${NONE_LEFT_OUT}`),
  why,
});

export const nestedNamespaces = z.strictObject({
  allow: z
    .boolean('expected true or false')
    .describe(
      'Whether programs may make namespaces and mounts of their own, as bubblewrap and browsers do. Left out: as in the policy that `extends` names; without `extends` false.',
    ),
  why,
});
