import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { ExecResult, PRINTED, showExec } from './exec-result.ts';
import { maxOutputBytes, sandboxId, text, variables, waitMs, windowSize } from './schema.ts';

export default defineTool({
  name: 'sandbox.exec',
  title: 'Run a command in a sandbox',
  description:
    'Runs one command in a sandbox and returns exit code, stdout and stderr; one that fails is a result, not an error. Files stay for the next command, shell variables and `cd` do not: use `cwd` and `env`, or chain with `&&`. ' +
    'If it still runs after `wait_ms` it is `running`: go on with sandbox_wait. What it leaves in the background (`server &`) keeps running. Long output is cut in the middle: grep the files `stdout` and `stderr` in `output_path`.',
  effect: 'destructive',
  input: z
    .strictObject({
      sandbox_id: sandboxId,
      command: text.exactOptional().describe('shell line for bash (else sh), e.g. `npm test 2>&1 | tail -50`; left out: `argv` is run'),
      argv: z.array(text).min(1).exactOptional().describe('program and arguments, run without a shell; left out: `command` is run'),
      cwd: text.exactOptional().describe('working directory, absolute or relative to /workspace; left out: /workspace'),
      env: variables.exactOptional().describe('environment variables of this command; left out: none'),
      stdin: z.string().exactOptional().describe('text for standard input; left out: it is empty'),
      keep_stdin: z.boolean().exactOptional().describe('keep standard input open for sandbox_wait; left out: end of file after `stdin`'),
      timeout_ms: z.int().min(0).exactOptional().describe('when to kill all that the command started; 0: never (servers); left out: 120000'),
      wait_ms: waitMs,
      tty: z.boolean().exactOptional().describe('run on a terminal, for programs that want one; left out: pipes'),
      ...windowSize,
      max_output_bytes: maxOutputBytes,
    })
    .refine(({ command, argv }) => (command === undefined) !== (argv === undefined), 'exactly one of `command` and `argv`'),
  output: ExecResult,
  printed: PRINTED,
  streams: true,
  show: showExec,
  run: ({ sandbox_id, ...input }, { sessions, principal, signal, forModel, onOutput }) =>
    sessions.get(sandbox_id, principal).exec({ ...input, nameErrors: forModel }, signal, onOutput),
});
