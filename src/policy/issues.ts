/** What zod found, as the messages of cellwall say it: where, what was expected, what came. */
import type { z } from 'zod';
import { SandboxError } from '../errors.ts';

/** More findings than these are not told at once. */
const MAX_TOLD = 5;
/** Characters of a value that are shown. */
const MAX_SHOWN = 60;

/** The text in `document`, parsed by `schema`; POLICY_INVALID names `file`, field, what was expected and what came. */
export const parseAs = <Schema extends z.ZodType>(schema: Schema, document: unknown, file: string): z.output<Schema> => {
  const parsed = schema.safeParse(document, { error: expectation });
  if (parsed.success) return parsed.data;
  throw invalid(
    file,
    parsed.error.issues
      .slice(0, MAX_TOLD)
      .flatMap((issue) => describeIssue(issue, document))
      .join('; '),
  );
};

/** A POLICY_INVALID that begins with the file. */
export const invalid = (file: string, message: string, options: { hint?: string; cause?: unknown } = {}): SandboxError =>
  new SandboxError('POLICY_INVALID', `${file}: ${message}`, options);

/** A value as a message shows it: `"many" (string)`, `nothing` for what is left out. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  return `${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text} (${kind})`;
};

/** What zod's own words are replaced by where a schema gives none. */
const expectation = (issue: z.core.$ZodRawIssue): string | undefined => {
  if (issue.code !== 'invalid_type') return undefined;
  return `expected ${issue.expected === 'object' || issue.expected === 'array' ? `an ${issue.expected}` : `a ${issue.expected}`}`;
};

const describeIssue = (issue: z.core.$ZodIssue, document: unknown): string[] => {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => describe([...issue.path, key], 'expected no field of this name', document));
  if (issue.code === 'invalid_key') return [`${issue.path.join('.')}: ${issue.issues[0]?.message ?? 'expected another name'}`];
  return [describe(issue.path, issue.message, document)];
};

const describe = (path: readonly PropertyKey[], expected: string, document: unknown): string =>
  `${path.length === 0 ? '' : `${path.join('.')}: `}${expected}, got ${shown(path.reduce(valueAt, document))}`;

const valueAt = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined;
