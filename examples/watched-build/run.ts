/** A long build in a sandbox, watched by progress. Run by `npm run examples`, from the directory of the checkout. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';

const client = new Client({ name: 'watched-build', version: '1' });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: ['dist/src/main.js', '--context', resolve('examples/watched-build/project'), '--log-level', 'warn'],
    env: Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ''])),
  }),
);

type Watch = (progress: { readonly progress: number; readonly message?: string | undefined }) => void;

/** Calls a tool and gives the fields of its result; `watch` is told while it runs. */
const call = async (name: string, args: Readonly<Record<string, unknown>> = {}, watch?: Watch): Promise<Record<string, unknown>> => {
  const options = watch === undefined ? {} : { onprogress: watch, resetTimeoutOnProgress: true };
  const { isError, content, structuredContent } = await client.callTool({ name, arguments: args }, CallToolResultSchema, options);
  assert.ok(!isError, `${name}: ${JSON.stringify(content)}`);
  return { ...(structuredContent as object | undefined) };
};

const { sandbox_id } = await call('sandbox_create');

// Waits a little, in case the build is quick.
const start = await call('sandbox_exec', { sandbox_id, command: 'sh build.sh', wait_ms: 1500 });
assert.equal(start['status'], 'running');
const { exec_id, output_path } = start;
console.log(`still running after 1.5 s: ${String(start['stdout']).trim().replaceAll('\n', ', ')}`);

// Waits for the rest, and hears meanwhile that it goes on.
const heard: number[] = [];
const rest = call('sandbox_wait', { sandbox_id, exec_id }, ({ progress, message }) => {
  heard.push(progress);
  console.log(`progress ${progress}: ${message ?? ''}`);
});

// Others may look at its output at any time.
const look = await call('sandbox_exec', { sandbox_id, command: `head -n 1 ${String(output_path)}/stdout` });
assert.equal(look['stdout'], 'step 1 of 6\n');

const end = await rest;
assert.deepEqual([end['status'], end['exit_code']], ['exited', 0]);
const told = heard.length;
assert.ok(told >= 2, `progress was told ${told} times`);
assert.deepEqual(
  heard,
  [...new Set(heard)].toSorted((a, b) => a - b),
); // each more than the last

// The parts together are the whole output, each line once.
const steps = [1, 2, 3, 4, 5, 6].map((step) => `step ${step} of 6\n`).join('');
assert.equal(`${String(start['stdout'])}${String(end['stdout'])}`, steps);

const built = await call('sandbox_exec', { sandbox_id, command: 'cat program' });
assert.equal(built['stdout'], 'hello\n');
assert.equal(heard.length, told, 'nothing is told after the answer');
console.log(`built; progress was told ${told} times, and not after the end`);

await call('sandbox_destroy', { sandbox_id });
await client.close();
