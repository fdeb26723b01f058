/** A web server in the background of a sandbox, asked by other commands in it. Run by `npm run examples`, from the directory of the checkout. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const PORT = 8765;

const client = new Client({ name: 'dev-server', version: '1' });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: ['dist/src/main.js', '--context', resolve('examples/dev-server/site'), '--log-level', 'warn'],
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

// A server has no end of its own: no time-out, and no waiting for it.
const server = await call('sandbox_exec', { sandbox_id, command: `exec python3 -u -m http.server --bind 127.0.0.1 ${PORT}`, timeout_ms: 0, wait_ms: 0 });
assert.equal(server['status'], 'running');
const { exec_id } = server;

// Another command of the same sandbox asks it, as soon as it answers.
const ask = `
import time, urllib.request
for attempt in range(100):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:${PORT}/").read().decode())
        break
    except urllib.error.URLError as error:
        time.sleep(0.1)
else:
    raise SystemExit(f"nobody answers: {error}")
`;
const first = await call('sandbox_exec', { sandbox_id, argv: ['python3', '-c', ask] });
assert.equal(first['exit_code'], 0, String(first['stderr']));
assert.match(String(first['stdout']), /It works\./);
console.log('the server answers inside its sandbox');

// What is changed inside is what it serves from now on.
await call('sandbox_exec', { sandbox_id, command: "sed -i 's/It works/It was changed/' index.html" });
const second = await call('sandbox_exec', { sandbox_id, argv: ['python3', '-c', ask] });
assert.match(String(second['stdout']), /It was changed\./);
console.log('it serves what was changed');

// Loopback inside is not the machine's: out here nobody listens there, or somebody else.
const outside = await fetch(`http://127.0.0.1:${PORT}/`).then(
  (response) => response.text(),
  () => '',
);
assert.doesNotMatch(outside, /It was changed/);
console.log('nobody outside reaches it');

// It is still running, and has logged both requests.
const meanwhile = await call('sandbox_wait', { sandbox_id, exec_id, wait_ms: 0 });
assert.equal(meanwhile['status'], 'running');
assert.equal(String(meanwhile['stderr']).match(/"GET \/ HTTP\/1.1" 200/g)?.length, 2);

// Ctrl-C ends it. What was told before is not told again.
const end = await call('sandbox_wait', { sandbox_id, exec_id, signal: 'INT' });
assert.notEqual(end['status'], 'running');
assert.doesNotMatch(String(end['stderr']), /GET/);
console.log(`it has ended: ${String(end['status'])}`);

await call('sandbox_destroy', { sandbox_id });
await client.close();
