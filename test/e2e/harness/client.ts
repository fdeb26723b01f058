/** The MCP clients of tests: the SDK's 1.x line and its 2.x line in both eras, behind one way to call a tool. */
import { Client as NewClient } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import type { ChildWire } from './wire.ts';

/** `1.x`: @modelcontextprotocol/sdk; the others: @modelcontextprotocol/client in the named era */
export type ClientKind = '1.x' | 'legacy' | 'modern';

/** What a client's user does when asked: shown the message, they accept, decline, or close it. */
export type Answer = (message: string) => 'accept' | 'decline' | 'cancel' | Promise<'accept' | 'decline' | 'cancel'>;

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onprogress?: (progress: { readonly progress: number; readonly message?: string | undefined }) => void;
}

export interface Calls {
  /** a tool's structured result (for sandbox_read that of `_meta`); throws CallError when it is one of the contract */
  call(tool: string, args?: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<Record<string, unknown>>;
  /** the whole result as the client got it */
  callRaw(tool: string, args?: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<ToolResult>;
  /** the names advertised */
  toolNames(): Promise<readonly string[]>;
}

/** An error of the contract, as it came over MCP. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: string;
  readonly hint: string;
  readonly retryable: boolean;

  constructor(text: string, { code, hint, retryable }: z.output<typeof Failure>) {
    super(text);
    this.code = code;
    this.hint = hint;
    this.retryable = retryable;
  }
}

/** Longest that a call may take, in `ms`. */
const CALL_TIMEOUT_MS = 55_000;

const Failure = z.object({ code: z.string(), hint: z.string(), retryable: z.boolean() });
const Fields = z.record(z.string(), z.unknown());
const Result = z.object({
  content: z.array(z.object({ type: z.string(), text: z.string().optional() }).loose()),
  structuredContent: Fields.optional(),
  isError: z.boolean().optional(),
  _meta: Fields.optional(),
});
export type ToolResult = z.output<typeof Result>;

/** Connects a client of the kind over the wire. Only that of the 1.x line has roots here; one without an answer cannot ask. */
export const connectClient = async (kind: ClientKind, wire: ChildWire, roots?: readonly string[], answer?: Answer): Promise<Calls> => {
  const send = kind === '1.x' ? await connectOld(wire, roots, answer) : await connectNew(wire, kind, answer);
  const callRaw: Calls['callRaw'] = async (tool, args = {}, options = {}) =>
    Result.parse(await send.call({ name: tool, arguments: args }, { timeout: CALL_TIMEOUT_MS, ...options }));
  return {
    callRaw,
    call: async (tool, args, options) => {
      const result = await callRaw(tool, args, options);
      if (result.isError) throw new CallError(result.content[0]?.text ?? '', Failure.parse(result._meta?.['cellwall/error']));
      return Fields.parse(result.structuredContent ?? result._meta?.['cellwall/result']);
    },
    toolNames: send.names,
  };
};

type Params = { name: string; arguments: Record<string, unknown> };
interface Send {
  call(params: Params, options: CallOptions & { timeout: number }): Promise<unknown>;
  names(): Promise<string[]>;
}

const ME = { name: 'cellwall-test', version: '1' };

const connectOld = async (wire: ChildWire, roots?: readonly string[], answer?: Answer): Promise<Send> => {
  const client = new OldClient(ME, { capabilities: { ...(roots && { roots: {} }), ...(answer && { elicitation: {} }) } });
  if (answer !== undefined) client.setRequestHandler(ElicitRequestSchema, async ({ params }) => ({ action: await answer(params.message), content: {} }));
  if (roots !== undefined) client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: roots.map((uri) => ({ uri })) }));
  await client.connect(wire);
  return {
    call: (params, options) => client.callTool(params, undefined, options),
    names: async () => (await client.listTools()).tools.map(({ name }) => name),
  };
};

const connectNew = async (wire: ChildWire, era: 'legacy' | 'modern', answer?: Answer): Promise<Send> => {
  const capabilities = answer === undefined ? {} : { elicitation: { form: {} } };
  const client = new NewClient(ME, { capabilities, versionNegotiation: { mode: era === 'legacy' ? 'legacy' : { pin: '2026-07-28' } } });
  if (answer !== undefined) client.setRequestHandler('elicitation/create', async ({ params }) => ({ action: await answer(params.message), content: {} }));
  await client.connect(wire);
  return {
    call: (params, options) => client.callTool(params, options),
    names: async () => (await client.listTools()).tools.map(({ name }) => name),
  };
};
