import { expect, test } from 'vitest';
import { z } from 'zod';
import { issuesOf } from '../src/issues.ts';

const messages = (schema: z.ZodType, value: unknown): string[] => {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : issuesOf(parsed.error, value).map((issue) => issue.message);
};

test('an issue names the field, what was expected and what came', () => {
  const schema = z.strictObject({
    n: z.int().min(1),
    s: z.string(),
    e: z.enum(['a', 'b']),
    list: z.array(z.string()).min(1),
    deep: z.strictObject({ m: z.number() }),
  });
  expect(messages(schema, { n: -1, s: 7, e: 'c', list: [], deep: { m: 'x' } })).toEqual([
    'expected `n` to be a number of at least 1, got -1 (number)',
    'expected `s` to be a string, got 7 (number)',
    'expected `e` to be one of "a", "b", got "c" (string)',
    'expected `list` to be an array of at least 1 item, got an array',
    'expected `deep.m` to be a number, got "x" (string)',
  ]);
});

test('a missing and an unknown field are told apart', () => {
  expect(messages(z.strictObject({ path: z.string() }), { pat: 'x' })).toEqual(['`path` is missing: expected a string', '`pat` is unknown']);
});

test('a value is shown in part only, however long or deep it is', () => {
  const [long] = messages(z.strictObject({ n: z.int() }), { n: 'x'.repeat(1_000_000) });
  expect(long!.length).toBeLessThan(150);
  const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
  expect(messages(z.strictObject({ n: z.int() }), { n: deep })).toEqual(['expected `n` to be a number, got an array']);
});

test('a rule about several fields stands for itself', () => {
  const schema = z.strictObject({ a: z.string().exactOptional() }).refine(() => false, 'exactly one of `a` and `b`');
  expect(messages(schema, { a: 'secret' })).toEqual(['expected exactly one of `a` and `b`']);
});
