/** A client in TypeScript over JSON-RPC: typed requests, output as it comes, cancellation. Run by `npm run examples`, from the directory of the checkout. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { GetServerInfo, NUMBERS, Output, REQUEST_CANCELLED, SandboxCreate, SandboxDestroy, SandboxExec, SandboxRead, SandboxWait } from 'cellwall/protocol';
import { CancellationTokenSource, createMessageConnection, StreamMessageReader, StreamMessageWriter, type ProgressToken } from 'vscode-jsonrpc/node';

// An installed one is called `cellwall`. It ends with us, however we end.
const server = spawn(process.execPath, ['dist/src/main.js', '--stdio', `--clientProcessId=${process.pid}`, '--log-level', 'warn'], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const connection = createMessageConnection(new StreamMessageReader(server.stdout), new StreamMessageWriter(server.stdin));
connection.listen();

/** Gathers the output that comes with a progress token. */
const listen = (token: ProgressToken, onText: (text: string) => void = () => {}): { readonly parts: readonly string[] } => {
  const parts: string[] = [];
  connection.onProgress(Output, token, ({ text }) => {
    parts.push(text);
    onText(text);
  });
  return { parts };
};

const info = await connection.sendRequest(GetServerInfo);
console.log(`${info.name} ${info.version} with the policies ${info.policies.join(', ')}`);

const { sandbox_id } = await connection.sendRequest(SandboxCreate, { context: 'none' });

// Output comes while the command runs, and all of it before the answer.
const steps = listen('steps', (text) => process.stdout.write(text));
const stepped = await connection.sendRequest(SandboxExec, {
  sandbox_id,
  command: 'for n in 1 2 3; do echo "step $n"; sleep 0.3; done; exit 3',
  progress_token: 'steps',
});
assert.deepEqual([stepped.status, stepped.exit_code], ['exited', 3]);
assert.equal(steps.parts.join(''), 'step 1\nstep 2\nstep 3\n');
assert.equal(stepped.stdout, steps.parts.join(''));
assert.ok(steps.parts.length > 1, 'it came at once');

// A cancelled command is gone with all that it started.
const cancellation = new CancellationTokenSource();
listen('endless', () => cancellation.cancel());
const endless = connection.sendRequest(
  SandboxExec,
  { sandbox_id, command: 'sleep 1000 & echo begun; sleep 1000', progress_token: 'endless' },
  cancellation.token,
);
await assert.rejects(endless, { code: REQUEST_CANCELLED });
const { stdout: programs } = await connection.sendRequest(SandboxExec, { sandbox_id, command: 'cat /proc/[0-9]*/comm' });
assert.doesNotMatch(programs, /sleep/);
console.log('what was cancelled is gone');

// A command that asks: it is started, left running, and answered.
const asking = await connection.sendRequest(SandboxExec, { sandbox_id, command: 'read -r name; echo "hello $name"', keep_stdin: true, wait_ms: 0 });
assert.equal(asking.status, 'running');
const answered = await connection.sendRequest(SandboxWait, { sandbox_id, exec_id: asking.exec_id, stdin: 'world\n' });
assert.deepEqual([answered.status, answered.stdout], ['exited', 'hello world\n']);
console.log(answered.stdout.trim());

// An error has a number, and says what to do.
await assert.rejects(
  connection.sendRequest(SandboxRead, { sandbox_id, path: 'no/such/file' }),
  (error: { code: number; data: { code: string; hint: string } }) => {
    console.log(`${error.data.code}: ${error.data.hint}`);
    return error.code === NUMBERS.PATH_NOT_FOUND;
  },
);

assert.deepEqual(await connection.sendRequest(SandboxDestroy, { sandbox_id }), { destroyed: true });
const exit = once(server, 'exit');
server.stdin.end();
assert.deepEqual(await exit, [0, null]);
