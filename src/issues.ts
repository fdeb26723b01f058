/** What zod finds wrong, in words: which field, what was expected, what came. For the parameters of a call and for the configuration alike. */
import type { z } from 'zod';

export interface Issue {
  /** dotted path of the field, `limits.memory_mb`; empty for the value as a whole */
  readonly path: string;
  /** one sentence that names the field, what was expected and what came */
  readonly message: string;
}

/** The issues of a failed parse of `input`, one a field, in the order of the schema. An unknown field is one issue of its own. */
export const issuesOf = (error: z.ZodError, input: unknown): Issue[] => error.issues.flatMap((issue) => explain(issue, input));

type ZodIssue = z.core.$ZodIssue;

const explain = (issue: ZodIssue, input: unknown): Issue[] => {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: join([...issue.path, key]), message: `\`${join([...issue.path, key])}\` is unknown` }));
  }
  const path = join(issue.path);
  if (issue.code === 'invalid_key') return [{ path, message: `\`${path}\` is refused: expected ${issue.issues[0]?.message ?? 'another name'}` }];
  const value = valueAt(input, issue.path);
  if (issue.code === 'custom' && path === '') return [{ path, message: `expected ${issue.message}` }];
  if (value === undefined) return [{ path, message: `\`${path}\` is missing: expected ${expectedBy(issue)}` }];
  return [{ path, message: `expected ${path === '' ? 'the whole' : `\`${path}\``} to be ${expectedBy(issue)}, got ${got(value)}` }];
};

const TYPES: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object of strings',
};

/** The phrase after "expected … to be": the type, the range or the choice that the schema asks for. */
const expectedBy = (issue: ZodIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'too_small':
      return sized(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum);
    case 'too_big':
      return sized(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum);
    default:
      return issue.message;
  }
};

const UNITS: Record<string, string> = { string: ' character', array: ' item' };

// `a string of at least 1 character`, `a number of at most 10`
const sized = (origin: string, bound: string, size: number | bigint): string => {
  const unit = UNITS[origin] ?? '';
  return `${unit === '' ? 'a number' : TYPES[origin]} of ${bound} ${size}${unit}${unit === '' || size === 1 ? '' : 's'}`;
};

/** A value as it came, with its type. Only as much of it is looked at as is shown: it may be huge, or nested deeper than the stack. */
const got = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  const shown = typeof value === 'string' && value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return `${JSON.stringify(shown)} (${typeof value})`;
};

const join = (path: readonly PropertyKey[]): string => path.map(String).join('.');

/** What stands at `path` of a value that came from outside: own properties only. */
const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown => {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined;
    here = Reflect.get(here, key);
  }
  return here;
};
