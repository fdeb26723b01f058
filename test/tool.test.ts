import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineTool, ParamsError } from '../src/tool.ts';
import { createFakeSessions } from './fixtures/fake-sessions.ts';

const tool = defineTool({
  name: 'test.echo',
  title: 'Echo',
  description: 'gives back what it got',
  effect: 'readOnly',
  input: z.strictObject({
    text: z.string(),
    count: z.int().min(0).exactOptional(),
    nested: z.strictObject({ inner: z.string().exactOptional(), must: z.string() }).exactOptional(),
    edits: z.array(z.strictObject({ old: z.string(), all: z.boolean().exactOptional() })).exactOptional(),
    env: z.record(z.string(), z.string()).exactOptional(),
  }),
  output: z.strictObject({ text: z.string(), code: z.int().nullable() }),
  advertise: ({ policyNames }) => ({ text: { enum: [...policyNames] } }),
  show: ({ text }) => text,
  run: ({ text }) => ({ text, code: null }),
});

const issuesFor = (params: unknown): readonly string[] => {
  try {
    tool.bind(params);
    return [];
  } catch (error) {
    if (error instanceof ParamsError) return error.issues.map((issue) => issue.path);
    throw error;
  }
};

describe('parameters', () => {
  test('null means left out for every optional one, nested ones included', () => {
    const { input } = tool.bind({ text: 'a', count: null, nested: { inner: null, must: 'b' }, edits: [{ old: 'x', all: null }], env: null });
    expect(input).toEqual({ text: 'a', nested: { must: 'b' }, edits: [{ old: 'x' }] });
    expect(tool.bind({ text: 'a', nested: null, edits: null }).input).toEqual({ text: 'a' });
  });

  test('null is refused where something is required, and as a value in a map', () => {
    expect(() => tool.bind({ text: null })).toThrow('expected `text` to be a string, got null');
    expect(issuesFor({ text: 'a', nested: { must: null } })).toEqual(['nested.must']);
    expect(issuesFor({ text: 'a', env: { A: null } })).toEqual(['env.A']);
  });

  test('an unknown one is refused by name, and the hint names those there are', () => {
    expect(issuesFor({ text: 'a', txt: 1, nested: { must: 'b', mst: 1 } })).toEqual(['nested.mst', 'txt']);
    expect(() => tool.bind({ txt: null })).toThrow(
      expect.objectContaining({ code: 'INVALID_PARAMS', hint: 'test_echo takes text, count, nested, edits, env' }),
    );
  });

  test('names of the prototype chain are as unknown as any other', () => {
    expect(issuesFor(JSON.parse('{"text":"a","__proto__":{"count":1}}'))).toEqual(['__proto__']);
    expect(issuesFor(JSON.parse('{"text":"a","constructor":null,"toString":null}'))).toEqual(['constructor', 'toString']);
  });

  test('none at all are the same as an empty object', () => {
    expect(issuesFor(undefined)).toEqual(['text']);
    expect(issuesFor(null)).toEqual(['text']);
    expect(issuesFor([])).toEqual(['']);
  });

  test('whatever comes is taken or refused as INVALID_PARAMS', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), fc.record({ text: fc.jsonValue(), nested: fc.jsonValue(), edits: fc.jsonValue(), count: fc.jsonValue() })),
        (params) => {
          issuesFor(params);
        },
      ),
    );
  });
});

describe('schemas', () => {
  test('that of the parameters is flat and closed, says nothing of null, and has what is known at start', () => {
    const schema = tool.inputSchema(createFakeSessions());
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false, required: ['text'] });
    expect(schema.properties).toMatchObject({ text: { type: 'string', enum: ['offline', 'scratch'] }, count: { type: 'integer', minimum: 0 } });
    expect(JSON.stringify(schema)).not.toMatch(/null|\$schema|9007199254740991|propertyNames/);
  });

  test('that of the result requires every field', () => {
    expect(tool.outputSchema).toEqual({
      type: 'object',
      properties: { text: { type: 'string' }, code: { anyOf: [{ type: 'integer' }, { type: 'null' }] } },
      required: ['text', 'code'],
    });
  });
});
