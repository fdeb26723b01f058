/** A tool: one method of the contract. Everything that clients and servers need to know of it is derived from its definition. */
import { z } from 'zod';
import { SandboxError } from './errors.ts';
import { issuesOf, type Issue } from './issues.ts';
import type { Principal } from './session/requests.ts';
import type { Session } from './session/session.ts';
import type { Sessions } from './session/sessions.ts';

/** What the tools use of the sessions. */
export type ToolSessions = Pick<Sessions, 'policyNames' | 'defaultPolicy' | 'create' | 'list' | 'destroy'> & {
  get(sandboxId: string, principal: Principal): Pick<Session, 'exec' | 'wait' | 'read' | 'write' | 'search' | 'diff' | 'apply'>;
};

/** Asks a person; resolves with whether they agree. */
export type Ask = NonNullable<Parameters<Session['apply']>[1]>;

/** What would be written, for the one who is asked: paths hold nothing but what is plainly visible. */
export type Question = Parameters<Ask>[0];

/** What a tool gets to act with. */
export interface ToolContext {
  readonly sessions: ToolSessions;
  /** who calls */
  readonly principal: Principal;
  /** aborted when the call is cancelled or its client is gone */
  readonly signal: AbortSignal;
  /** whether a model reads the answer, not a program */
  readonly forModel: boolean;
  /** asks the client's user whether changes may be brought home; left out: this client cannot ask */
  readonly ask?: Ask | undefined;
  /** takes the output of a command as it comes, and words on stderr of how far other work has come, where the client asked for that */
  readonly onOutput?: ((stream: 'stdout' | 'stderr', bytes: Buffer) => void | Promise<void>) | undefined;
}

/** A part of what a model is shown; `data` is base64. */
export type Block = { readonly type: 'text'; readonly text: string } | { readonly type: 'image'; readonly data: string; readonly mimeType: string };

export interface JsonSchema {
  readonly type: 'object';
  readonly [keyword: string]: unknown;
}

/** What a call may do to the sandbox or to what exists: nothing; add to it; change or end it. */
type Effect = 'readOnly' | 'additive' | 'destructive';

/** MCP's hints about a tool. Nothing reaches beyond the machine, so no tool is open-world. */
const ANNOTATIONS = {
  readOnly: { readOnlyHint: true, openWorldHint: false },
  additive: { readOnlyHint: false, destructiveHint: false, openWorldHint: false },
  destructive: { readOnlyHint: false, destructiveHint: true, openWorldHint: false },
} as const satisfies Record<Effect, object>;

interface Definition<Name extends `${string}.${string}`, In extends z.ZodObject, Out extends z.ZodType<object>> {
  /** dotted, as JSON-RPC calls it */
  readonly name: Name;
  readonly title: string;
  /** for a model: what it does, when to use it, what comes back, what to do next */
  readonly description: string;
  readonly effect: Effect;
  readonly input: In;
  readonly output: Out;
  /** keywords for parameters that are known only at start, by parameter */
  readonly advertise?: (sessions: ToolSessions) => Readonly<Record<string, object>>;
  /** fields of the result that hold what a program printed */
  readonly printed?: readonly string[];
  /** whether it hands on output while the command runs; left out: no */
  readonly streams?: boolean;
  /** fields of the result that only `show` carries over MCP; where there are any, no structured result is sent */
  readonly shownOnly?: readonly string[];
  /** the whole result for a model that sees nothing else */
  readonly show: (result: z.output<Out>) => string | readonly Block[];
  readonly run: (input: z.output<In>, context: ToolContext) => z.output<Out> | Promise<z.output<Out>>;
}

/** A call whose parameters have been checked. */
interface BoundCall {
  /** the parameters as the schema left them, `null`s left out */
  readonly input: Readonly<Record<string, unknown>>;
  run(context: ToolContext): object | Promise<object>;
}

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly annotations: { readonly title: string; readonly readOnlyHint: boolean; readonly destructiveHint?: boolean; readonly openWorldHint: boolean };
  readonly printed: readonly string[];
  /** whether it hands on output while the command runs, to `onOutput` */
  readonly streams: boolean;
  readonly shownOnly: readonly string[];
  /** JSON Schema 2020-12 of the result; null for a tool that sends no structured one */
  readonly outputSchema: JsonSchema | null;
  /** JSON Schema 2020-12 of the parameters, with what is known of these sessions */
  inputSchema(sessions: ToolSessions): JsonSchema;
  /** Checks parameters; `null` means left out for every optional one. Throws ParamsError. */
  bind(params: unknown): BoundCall;
  /** A result of this tool as blocks for a model. */
  show(result: object): readonly Block[];
}

/** INVALID_PARAMS, with an issue for each parameter that is wrong. */
export class ParamsError extends SandboxError {
  readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[], hint: string) {
    super('INVALID_PARAMS', `${issues.map((issue) => issue.message).join('; ')}.`, { hint });
    this.issues = issues;
  }
}

/** A tool with the types of what goes in and comes out, for those who write clients. */
export interface TypedTool<Name extends string, Params, Result> extends Tool {
  readonly name: Name;
  /** types only: it is never there */
  readonly types?: { readonly params: Params; readonly result: Result };
}

/** Makes a tool of its definition; the schemas are derived once. */
export const defineTool = <Name extends `${string}.${string}`, In extends z.ZodObject, Out extends z.ZodType<object>>(
  definition: Definition<Name, In, Out>,
): TypedTool<Name, z.input<In>, z.output<Out>> => {
  const { name, title, description, input, effect, printed = [], streams = false, shownOnly = [] } = definition;
  const inputSchema = jsonSchemaOf(input, 'input');
  const hint = `${name.replace('.', '_')} takes ${Object.keys(input.shape).join(', ') || 'no parameters'}`;
  return {
    name,
    description,
    annotations: { title, ...ANNOTATIONS[effect] },
    printed,
    streams,
    shownOnly,
    outputSchema: shownOnly.length > 0 ? null : jsonSchemaOf(definition.output, 'output'),
    inputSchema: (sessions) => withKeywords(inputSchema, definition.advertise?.(sessions) ?? {}),
    bind: (params) => {
      const values = parse(input, params ?? {}, hint);
      return { input: values, run: (context) => definition.run(values, context) };
    },
    show: (result: z.output<Out>) => {
      const shown = definition.show(result);
      return typeof shown === 'string' ? [{ type: 'text', text: shown }] : shown;
    },
  };
};

const parse = <In extends z.ZodObject>(schema: In, params: unknown, hint: string): z.output<In> => {
  const given = withoutNulls(schema, params);
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new ParamsError(issuesOf(parsed.error, given), hint);
  return parsed.data;
};

// Leaves out what is null where the schema has an optional field; goes only as deep as the schema does.
const withoutNulls = (schema: z.core.$ZodType, value: unknown): unknown => {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodExactOptional) return withoutNulls(schema.unwrap(), value);
  if (schema instanceof z.ZodArray && Array.isArray(value)) return value.map((element) => withoutNulls(schema.element, element));
  if (!(schema instanceof z.ZodObject) || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const fields = new Map(Object.entries(schema.shape));
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, given]: [string, unknown]) => {
      const field = fields.get(name);
      if (field === undefined) return [[name, given]];
      return given === null && field.def.type === 'optional' ? [] : [[name, withoutNulls(field, given)]];
    }),
  );
};

// A flat object at the root, without what zod adds for its own sake: `$schema`, the bounds of safe integers, `propertyNames`.
// Parameters are closed, results may grow; a type is one word, because some hosts map it to a dialect that knows no lists of types.
const jsonSchemaOf = (schema: z.ZodType, io: 'input' | 'output'): JsonSchema => {
  const tidy = (part: z.core.JSONSchema.BaseSchema): void => {
    if (part.minimum === Number.MIN_SAFE_INTEGER) delete part.minimum;
    if (part.maximum === Number.MAX_SAFE_INTEGER) delete part.maximum;
    if (io === 'output' && part.additionalProperties === false) delete part.additionalProperties;
    delete part.propertyNames;
  };
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', override: ({ jsonSchema }) => tidy(jsonSchema) });
  return JSON.parse(JSON.stringify({ ...rest, type: 'object' }), splitTypes) as JsonSchema;
};

// `{ type: ['integer', 'null'] }` with one type a branch.
const splitTypes = (_key: string, part: unknown): unknown => {
  if (typeof part !== 'object' || part === null || !('type' in part) || !Array.isArray(part.type)) return part;
  const { type, ...rest } = part;
  return { ...rest, anyOf: type.map((one: string) => ({ type: one })) };
};

const withKeywords = (schema: JsonSchema, keywords: Readonly<Record<string, object>>): JsonSchema => {
  const properties = Object.entries({ ...(schema.properties as Record<string, object> | undefined) });
  return { ...schema, properties: Object.fromEntries(properties.map(([name, field]) => [name, { ...field, ...keywords[name] }])) };
};
