import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { counted, grouped } from './format.ts';
import { variables } from './schema.ts';

const positive = z.int().min(1);

const Created = z.strictObject({
  sandbox_id: z.string(),
  policy: z.string(),
  runtime: z.string(),
  network: z.string(),
  workspace: z.string(),
  context: z
    .strictObject({
      files: z.int(),
      bytes: z.int(),
      digest: z.string(),
      skipped: z.array(z.strictObject({ path: z.string(), reason: z.string() })),
      skipped_count: z.int(),
    })
    .nullable(),
  limits: z.strictObject({ memory_mb: z.int(), cpus: z.number(), pids: z.int(), disk_mb: z.int() }),
  expires_at: z.string(),
  warnings: z.array(z.string()),
});

export default defineTool({
  name: 'sandbox.create',
  title: 'Create a sandbox',
  description:
    "Makes a throw-away Linux computer (a sandbox) with a private copy of a project at /workspace and returns its `sandbox_id`. Use it for what must not touch the user's machine: tests, builds, code that nobody has read. " +
    'No network, no root. Secrets (.env, keys) are left out of the copy: see `context.skipped`. One sandbox serves many commands: go on with sandbox_exec, end with sandbox_destroy.',
  effect: 'additive',
  input: z.strictObject({
    policy: z.string().exactOptional().describe('what the sandbox may do; left out: the default'),
    context: z
      .string()
      .exactOptional()
      .describe('absolute path of the directory to copy; "none": an empty workspace; left out: the project the server was started in'),
    env: variables.exactOptional().describe('environment variables of all commands; left out: none'),
    limits: z
      .strictObject({
        memory_mb: positive.exactOptional(),
        cpus: z.number().positive().exactOptional(),
        pids: positive.exactOptional(),
        disk_mb: positive.exactOptional(),
      })
      .exactOptional()
      .describe("tighter limits than the policy's; left out: the policy's"),
    ttl_s: positive.exactOptional().describe("lifetime in seconds, shorter than the policy's; left out: the policy's"),
    label: z
      .string()
      .refine((label) => /^[^\p{C}\p{Zl}\p{Zp}]{0,100}$/u.test(label), 'at most 100 printable characters')
      .exactOptional()
      .describe('a name for people, at most 100 characters; left out: none'),
  }),
  output: Created,
  advertise: ({ policyNames, defaultPolicy }) => ({ policy: { enum: [...policyNames], default: defaultPolicy } }),
  show: (result) => show(result),
  run: (input, { sessions, principal, signal, onOutput }) =>
    sessions.create(input, principal, signal, onOutput && ((done) => void onOutput('stderr', copied(done)))),
});

const copied = (done: { files: number; bytes: number }): Buffer => Buffer.from(`copied ${counted(done.files, 'file')}, ${counted(done.bytes, 'byte')}\n`);
const show = (created: z.output<typeof Created>): string =>
  [
    `sandbox_id: ${created.sandbox_id}`,
    `policy ${created.policy}, runtime ${created.runtime}, network ${created.network}, expires at ${created.expires_at}`,
    `limits: memory ${grouped(created.limits.memory_mb)} MB, ${created.limits.cpus} CPUs, ${grouped(created.limits.pids)} processes, disk ${grouped(created.limits.disk_mb)} MB`,
    `${created.workspace}: ${describeContext(created.context)}`,
    ...created.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');

const describeContext = (context: z.output<typeof Created>['context']): string => {
  if (context === null) return 'empty';
  const named = context.skipped.map(({ path, reason }) => `\n  ${path} (${reason})`).join('');
  const more = context.skipped_count > context.skipped.length ? `\n  and ${counted(context.skipped_count - context.skipped.length, 'more', 'more')}` : '';
  return `${counted(context.files, 'file')}, ${counted(context.bytes, 'byte')} copied (digest ${context.digest}), ${grouped(context.skipped_count)} left out${named === '' ? '' : ':'}${named}${more}`;
};
