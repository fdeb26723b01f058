import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { grouped } from './format.ts';

const measured = z.number().nullable();

const Sandbox = z.strictObject({
  sandbox_id: z.string(),
  label: z.string().nullable(),
  policy: z.string(),
  runtime: z.string(),
  state: z.enum(['creating', 'running', 'failed']),
  created_at: z.string(),
  expires_at: z.string(),
  running: z.array(z.string()),
  usage: z.strictObject({ memory_mb: measured, pids: measured, disk_mb: measured, cpu_ms: measured }),
});

export default defineTool({
  name: 'sandbox.list',
  title: 'List sandboxes',
  description: 'Lists your sandboxes: state, running commands, resources, end of life, and how many there may be. Use it to find a `sandbox_id` again.',
  effect: 'readOnly',
  input: z.strictObject({}),
  output: z.strictObject({ sandboxes: z.array(Sandbox), quota: z.strictObject({ used: z.int(), max: z.int() }) }),
  show: ({ sandboxes, quota }) => [`${quota.used} of ${quota.max} sandboxes`, ...sandboxes.map(describe)].join('\n'),
  run: (_input, { sessions, principal }) => sessions.list(principal),
});

const describe = ({ sandbox_id, label, policy, runtime, state, created_at, expires_at, running, usage }: z.output<typeof Sandbox>): string =>
  [
    `${sandbox_id}${label === null ? '' : ` ${JSON.stringify(label)}`}: ${state}, policy ${policy}, runtime ${runtime}`,
    `created at ${created_at}, expires at ${expires_at}`,
    running.length === 0 ? 'no command runs' : `running: ${running.join(' ')}`,
    `memory ${amount(usage.memory_mb, ' MB')}, ${amount(usage.pids, ' processes')}, disk ${amount(usage.disk_mb, ' MB')}, CPU ${amount(usage.cpu_ms, ' ms')}`,
  ].join('; ');

const amount = (value: number | null, unit: string): string => (value === null ? 'not measured' : `${grouped(Math.round(value))}${unit}`);
