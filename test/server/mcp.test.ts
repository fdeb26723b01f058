import { describe, expect, test } from 'vitest';
import { log } from '../../src/log.ts';
import { INSTRUCTIONS } from '../../src/server/mcp.ts';
import { tools } from '../../tools/index.ts';
import { PNG } from '../fixtures/fake-sessions.ts';
import { connect, sandbox_id, type Message } from './mcp-client.ts';

log.level = 'silent';

describe('the server', () => {
  test('introduces itself by name, version and instructions', async () => {
    const { hello } = await connect();
    expect(hello!.result.serverInfo).toMatchObject({ name: 'cellwall', version: '1.2.3' });
    expect(hello!.result.capabilities).toEqual({ tools: {} });
    expect(hello!.result.instructions).toBe(INSTRUCTIONS);
  });

  test('says what matters in the first 512 characters of its instructions', () => {
    const start = INSTRUCTIONS.slice(0, 512);
    for (const word of ['sandbox_create', 'sandbox_exec', 'sandbox_read', 'sandbox_destroy', '/workspace', 'no network']) expect(start).toContain(word);
    expect(INSTRUCTIONS.length).toBeLessThan(2048);
  });

  test.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('speaks revision %s', async (protocolVersion) => {
    const { ask } = await connect({}, { handshake: false });
    const answer = await ask('initialize', { protocolVersion, capabilities: {}, clientInfo: { name: 't', version: '1' } });
    expect(answer.result.protocolVersion).toBe(protocolVersion);
    expect((await ask('tools/list')).result.tools).toHaveLength(tools.length);
  });

  test('speaks the stateless revision 2026-07-28, with lists that may be kept', async () => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 't', version: '1' },
    };
    const { ask, call } = await connect({}, { handshake: false });
    const { result } = await ask('server/discover', { _meta });
    expect(result).toMatchObject({ supportedVersions: ['2026-07-28'], resultType: 'complete', cacheScope: 'private', instructions: INSTRUCTIONS });
    expect(JSON.stringify(result)).toContain('cellwall');
    const list = await ask('tools/list', { _meta });
    expect(list.result).toMatchObject({ resultType: 'complete', cacheScope: 'private', ttlMs: expect.any(Number) as number });
    const answer = await call('sandbox_list', {}, { _meta });
    expect(answer.result).toMatchObject({ resultType: 'complete', structuredContent: { quota: { max: 8 } } });
    expect((await call('sandbox_nothing', {}, { _meta })).error.code).toBe(-32602);
  });
});

describe('the list of tools', () => {
  test('has flat, closed, described schemas, the policies and true hints', async () => {
    const { ask } = await connect();
    const list = (await ask('tools/list')).result.tools as Message[];
    expect(list.map((tool) => tool.name)).toEqual(tools.map((tool) => tool.name.replace('.', '_')));
    for (const tool of list) {
      expect(tool.inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
      for (const schema of [tool.inputSchema, tool.outputSchema ?? {}]) {
        expect(Object.keys(schema as object).filter((word) => ['anyOf', 'oneOf', 'allOf', 'not', 'if', '$ref'].includes(word))).toEqual([]);
      }
      for (const [name, field] of Object.entries(tool.inputSchema.properties as Record<string, Message>)) {
        expect(field.description, `${tool.name}.${name}`).toMatch(tool.inputSchema.required?.includes(name) ? /.{8}/ : /left out: |"none"/);
      }
    }
    const policy = list[0]!.inputSchema.properties.policy as object;
    expect(policy).toMatchObject({ type: 'string', enum: ['offline', 'scratch'], default: 'offline' });
    expect(
      Object.fromEntries(list.map((tool) => [tool.name, [tool.annotations.readOnlyHint, tool.annotations.destructiveHint, tool.annotations.openWorldHint]])),
    ).toMatchObject({
      sandbox_create: [false, false, false],
      sandbox_exec: [false, true, false],
      sandbox_wait: [false, true, false],
      sandbox_read: [true, undefined, false],
      sandbox_write: [false, true, false],
      sandbox_search: [true, undefined, false],
      sandbox_list: [true, undefined, false],
      sandbox_destroy: [false, true, false],
    });
  });

  test('stays below 16 KB', async () => {
    const { ask } = await connect();
    const list = (await ask('tools/list')).result.tools as Message[];
    expect(JSON.stringify({ tools: list }).length).toBeLessThan(16_000);
    for (const tool of list) expect(tool.description.length).toBeLessThan(600);
  });

  test('promises a structured result where one is sent: not of sandbox_read, and with text results of none', async () => {
    const { ask } = await connect();
    const list = (await ask('tools/list')).result.tools as Message[];
    expect(list.filter((tool) => tool.outputSchema === undefined).map((tool) => tool.name)).toEqual(['sandbox_read']);
    const text = await connect({ toolResults: 'text' });
    expect(((await text.ask('tools/list')).result.tools as Message[]).every((tool) => tool.outputSchema === undefined)).toBe(true);
  });

  test('has dotted names only when asked for; both are always taken', async () => {
    const dotted = await connect({ dottedNames: true });
    expect(((await dotted.ask('tools/list')).result.tools as Message[]).map((tool) => tool.name)).toContain('sandbox.create');
    for (const { call } of [dotted, await connect()]) {
      for (const name of ['sandbox.list', 'sandbox_list']) expect((await call(name)).result.structuredContent.quota).toEqual({ used: 1, max: 8 });
    }
  });
});

describe('a result', () => {
  test('is there as fields and as text that is complete on its own', async () => {
    const { call } = await connect();
    const { result } = await call('sandbox_exec', { sandbox_id, command: 'fail' });
    expect(result.structuredContent).toMatchObject({ exit_code: 37, stdout: 'visible-out\n', stderr: 'visible-err\n', signal: null });
    expect(result.content).toEqual([{ type: 'text', text: 'exited with code 37 after 5 ms (ex_1)\nstdout:\nvisible-out\nstderr:\nvisible-err' }]);
    expect(result.isError).toBeUndefined();
  });

  test('is cleaned in both forms', async () => {
    const { call } = await connect();
    const { result } = await call('sandbox_exec', { sandbox_id, command: 'colours' });
    expect(result.structuredContent.stdout).toBe('red\n100%\n');
    expect(result.content[0].text).toContain('stdout:\nred\n100%');
    expect(JSON.stringify(result)).not.toContain('\\u001b');
    const found = (await call('sandbox_search', { sandbox_id, pattern: 'red' })).result;
    expect(found.structuredContent.matches).toEqual([{ path: 'src/main.py', line: 7, text: 'red' }]);
    expect(found.content[0].text).toMatch(/^src\/main.py:7: red\n/);
  });

  test('has the forms that the operator chose', async () => {
    const text = (await (await connect({ toolResults: 'text' })).call('sandbox_list')).result;
    expect([text.structuredContent, text.content.length]).toEqual([undefined, 1]);
    const structured = (await (await connect({ toolResults: 'structured' })).call('sandbox_list')).result;
    expect([structured.structuredContent.quota.max, structured.content]).toEqual([8, []]);
  });

  test('of sandbox_read is a line of facts, the content as it is, and fields in _meta', async () => {
    const { call } = await connect();
    const file = (await call('sandbox_read', { sandbox_id, path: 'a.txt' })).result;
    expect(file.structuredContent).toBeUndefined();
    expect(file.content).toEqual([{ type: 'text', text: 'file, 17 bytes, lines 1–2 of 2\none\n\x1b[31mtwo\x1b[0m\n' }]);
    expect(file._meta['cellwall/result']).toMatchObject({ type: 'file', size: 17, total_lines: 2, mode: '0644' });
    expect(file._meta['cellwall/result']).not.toHaveProperty('content');
    const directory = (await call('sandbox_read', { sandbox_id, path: 'src' })).result;
    expect(directory.content[0].text).toBe('directory, 1 entry\n0644 file 14 main.py');
    expect(directory._meta['cellwall/result'].entries).toHaveLength(1);
  });

  test('of sandbox_read is an image where the file is one', async () => {
    const { call } = await connect();
    const { result } = await call('sandbox_read', { sandbox_id, path: 'dot.png' });
    expect(result.content).toEqual([
      { type: 'text', text: 'image, image/png, 70 bytes' },
      { type: 'image', data: PNG, mimeType: 'image/png' },
    ]);
    expect(result._meta['cellwall/result']).toEqual({ type: 'image', mime_type: 'image/png' });
  });
});

describe('a failure', () => {
  test('says code, reason and hint, and has them in _meta', async () => {
    const { call } = await connect();
    const { result } = await call('sandbox_exec', { sandbox_id: 'sb_x', command: 'true' });
    expect(result.isError).toBe(true);
    expect(result.structuredContent).toBeUndefined();
    expect(result.content[0].text).toMatch(/^SANDBOX_NOT_FOUND: there is no such sandbox\nhint: .*sandbox_create/);
    expect(result._meta['cellwall/error']).toEqual({ code: 'SANDBOX_NOT_FOUND', retryable: false, hint: expect.any(String) as string });
  });

  test.each([
    [{ command: 'true' }, '`sandbox_id` is missing: expected a string'],
    [{ sandbox_id, command: 7 }, 'expected `command` to be a string, got 7 (number)'],
    [{ sandbox_id, command: 'true', comand: 'x' }, '`comand` is unknown'],
    [{ sandbox_id }, 'expected exactly one of `command` and `argv`'],
    [{ sandbox_id, command: 'a', argv: ['a'] }, 'expected exactly one of `command` and `argv`'],
    [{ sandbox_id, argv: [] }, 'expected `argv` to be an array of at least 1 item, got an array'],
    [{ sandbox_id, command: 'a\0b' }, 'expected `command` to be a string without NUL bytes, got "a\\u0000b" (string)'],
    [{ sandbox_id, command: 'a', timeout_ms: -1 }, 'expected `timeout_ms` to be a number of at least 0, got -1 (number)'],
    [{ sandbox_id, command: 'a', env: { 'A=B': 'x' } }, '`env.A=B` is refused: expected a name without "=" and NUL bytes'],
  ])('by parameters %j is INVALID_PARAMS that tells which', async (params, text) => {
    const { call } = await connect();
    const { result } = await call('sandbox_exec', params);
    expect(result.content[0].text.split('\n')[0]).toBe(`INVALID_PARAMS: ${text}.`);
    expect(result._meta['cellwall/error'].code).toBe('INVALID_PARAMS');
  });

  test('by an unknown tool is the protocol error -32602', async () => {
    const { call } = await connect();
    for (const name of ['sandbox_nothing', '__proto__', 'constructor', '']) expect((await call(name, {})).error.code).toBe(-32602);
  });

  test('that nobody foresaw shows nothing of the inside', async () => {
    const { call } = await connect();
    const answer = JSON.stringify(await call('sandbox_exec', { sandbox_id, command: 'break' }));
    expect(answer).toContain('INTERNAL');
    expect(answer).not.toMatch(/secret|TypeError|\.ts/);
  });
});
