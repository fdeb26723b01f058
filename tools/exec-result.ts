/** What is told of a command, by every tool that runs one or waits for one. */
import { z } from 'zod';
import { counted, grouped } from './format.ts';

export const ExecResult = z.strictObject({
  exec_id: z.string(),
  status: z.enum(['exited', 'signaled', 'timed_out', 'oom_killed', 'canceled', 'running']),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  stdout_bytes: z.int(),
  stderr_bytes: z.int(),
  truncated: z.boolean(),
  output_path: z.string(),
  duration_ms: z.int(),
});

type Result = z.output<typeof ExecResult>;

/** the fields that hold what the command printed */
export const PRINTED = ['stdout', 'stderr'] as const;

/** The result as text: how the command ended, what it printed, and where the whole of it is when it was cut. */
export const showExec = (result: Result): string => {
  const streams = PRINTED.filter((stream) => result[stream] !== '').map((stream) => `${stream}:\n${result[stream].replace(/\n$/, '')}`);
  const whole = `output was cut: stdout has ${counted(result.stdout_bytes, 'byte')}, stderr ${counted(result.stderr_bytes, 'byte')}; all of it is in the files stdout and stderr in ${result.output_path}`;
  return [
    `${ENDINGS[result.status](result)} after ${grouped(result.duration_ms)} ms (${result.exec_id})`,
    ...(streams.length > 0 ? streams : ['no output']),
    ...(result.truncated ? [whole] : []),
  ].join('\n');
};

const ENDINGS: Record<Result['status'], (result: Result) => string> = {
  exited: ({ exit_code }) => `exited with code ${exit_code}`,
  signaled: ({ signal }) => `killed by ${signal}`,
  timed_out: () => 'timed out and was killed',
  oom_killed: () => 'killed: the sandbox ran out of memory',
  canceled: () => 'canceled',
  running: () => 'still running',
};
