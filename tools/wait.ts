import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { ExecResult, PRINTED, showExec } from './exec-result.ts';
import { maxOutputBytes, sandboxId, waitMs, windowSize } from './schema.ts';

export default defineTool({
  name: 'sandbox.wait',
  title: 'Wait for a running command',
  description:
    'Goes on with a `running` command: waits for its end, sends it input or a signal. Returns what sandbox_exec returns, of stdout and stderr only what is new. ' +
    'Use `wait_ms: 0` to look, `stdin` to answer a prompt or drive a REPL (end lines with \\n), `signal: "INT"` for Ctrl-C, `"KILL"` to end all that it started.',
  effect: 'destructive',
  input: z.strictObject({
    sandbox_id: sandboxId,
    exec_id: z.string().describe('from sandbox_exec'),
    stdin: z.string().exactOptional().describe('text for its standard input, which `keep_stdin` or `tty` left open; left out: none'),
    close_stdin: z.boolean().exactOptional().describe('end its standard input after `stdin`; left out: it stays as it is'),
    signal: z.string().exactOptional().describe('name of a signal to send first, such as TERM or SIGINT; left out: none'),
    ...windowSize,
    wait_ms: waitMs,
    max_output_bytes: maxOutputBytes,
  }),
  output: ExecResult,
  printed: PRINTED,
  streams: true,
  show: showExec,
  run: ({ sandbox_id, ...input }, { sessions, principal, signal, forModel, onOutput }) =>
    sessions.get(sandbox_id, principal).wait({ ...input, nameErrors: forModel }, signal, onOutput),
});
