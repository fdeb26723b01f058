/** A conversation with an interactive Python on a terminal in a sandbox. Run by `npm run examples`, from the directory of the checkout. */
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const PROMPT = '>>> ';

const client = new Client({ name: 'interactive-python', version: '1' });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: ['dist/src/main.js', '--context', 'none', '--log-level', 'warn'],
    env: Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ''])),
  }),
);

/** Calls a tool and gives the fields of its result. */
const call = async (name: string, args: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> => {
  const { isError, content, structuredContent } = await client.callTool({ name, arguments: args });
  assert.ok(!isError, `${name}: ${JSON.stringify(content)}`);
  return { ...(structuredContent as object | undefined) };
};

const { sandbox_id } = await call('sandbox_create');

// A conversation may take longer than the two minutes that a command has by itself. The variable keeps newer versions from drawing their input line with colours.
const start = await call('sandbox_exec', { sandbox_id, argv: ['python3', '-q'], env: { PYTHON_BASIC_REPL: '1' }, tty: true, timeout_ms: 600_000, wait_ms: 0 });
const { exec_id } = start;

/** Goes on until Python asks for the next line, and gives what it said; `said` is what it has said before. */
const converse = async (act: Readonly<Record<string, unknown>>, said = ''): Promise<string> => {
  for (let next = act; !said.endsWith(PROMPT); next = {}) {
    const { status, stdout } = await call('sandbox_wait', { sandbox_id, exec_id, wait_ms: 100, ...next });
    said += String(stdout);
    assert.equal(status, 'running', said);
  }
  return said;
};

/** Types a line; the answer without the echo of the line and without the prompt. */
const ask = async (line: string): Promise<string> => {
  const said = await converse({ stdin: `${line}\n` });
  console.log(`${PROMPT}${said.slice(0, -PROMPT.length).trimEnd()}`);
  return said.slice(said.indexOf('\n') + 1, -PROMPT.length).trim();
};

await converse({}, String(start['stdout']));
assert.equal(await ask('6 * 7'), '42');

// What was said before is still known.
assert.equal(await ask('numbers = [n * n for n in range(10)]'), '');
assert.equal(await ask('sum(numbers)'), '285');

// A mistake is answered, and is not the end.
assert.match(await ask('1 / 0'), /ZeroDivisionError/);

// It is a terminal, of the size that it was given.
await call('sandbox_wait', { sandbox_id, exec_id, rows: 40, cols: 132, wait_ms: 0 });
assert.equal(await ask('import os; tuple(os.get_terminal_size())'), '(132, 40)');

// Ctrl-C ends what runs, and not Python.
const busy = await call('sandbox_wait', { sandbox_id, exec_id, stdin: 'import time; time.sleep(1000)\n', wait_ms: 500 });
assert.equal(busy['status'], 'running');
assert.match(await converse({ signal: 'INT' }), /KeyboardInterrupt/);
assert.equal(await ask('len(numbers)'), '10');

const end = await call('sandbox_wait', { sandbox_id, exec_id, stdin: 'exit(7)\n' });
assert.deepEqual([end['status'], end['exit_code']], ['exited', 7]);
console.log('python has ended with exit code 7');

await call('sandbox_destroy', { sandbox_id });
await client.close();
