/** One call from its name to its envelope: find → parse → run → log. Knows no protocol. */
import { SandboxError, toSandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { JsonSchema, Tool, ToolContext } from '../tool.ts';

export type Outcome = { readonly ok: true; readonly result: object } | { readonly ok: false; readonly error: SandboxError };

/** What belongs to one call. */
export type CallContext = Pick<ToolContext, 'signal' | 'forModel' | 'ask' | 'onOutput'>;

export interface Dispatch {
  /** all tools in their fixed order, with the schema of their parameters as it is advertised here */
  readonly methods: readonly { readonly tool: Tool; readonly inputSchema: JsonSchema }[];
  /** The tool of a name, dotted or with an underscore. */
  find(name: string): Tool | undefined;
  /** Runs a tool. Never rejects: whatever is thrown becomes an error of the contract, and one line in the log. */
  run(tool: Tool, params: unknown, call: CallContext): Promise<Outcome>;
}

/** Binds the tools to the sessions and the principal that they act for. */
export const createDispatch = (tools: readonly Tool[], context: Omit<ToolContext, keyof CallContext>): Dispatch => {
  const byName = new Map(tools.flatMap((tool) => [tool.name, underscored(tool.name)].map((name) => [name, tool])));
  return {
    methods: tools.map((tool) => ({ tool, inputSchema: tool.inputSchema(context.sessions) })),
    find: (name) => byName.get(name),
    run: async (tool, params, call) => {
      const started = performance.now();
      const facts: Facts = { method: tool.name };
      const outcome = await settle(tool, params, { ...context, ...call }, facts);
      record(facts, outcome, Math.round(performance.now() - started));
      return outcome;
    },
  };
};

/** `sandbox.exec` as most MCP hosts take it: `sandbox_exec`. */
export const underscored = (name: string): string => name.replaceAll('.', '_');

/** What the log says of a call, whatever becomes of it. */
interface Facts {
  readonly method: string;
  sandbox_id?: string;
  policy?: string;
}

const settle = async (tool: Tool, params: unknown, context: ToolContext, facts: Facts): Promise<Outcome> => {
  try {
    const call = tool.bind(params);
    note(facts, call.input);
    if (context.signal.aborted) throw new SandboxError('CANCELED', 'the call was cancelled before it began');
    const result = await call.run(context);
    note(facts, result);
    return { ok: true, result };
  } catch (thrown) {
    return { ok: false, error: errorOf(thrown, context.signal) };
  }
};

// Only checked values are noted, and only ids and names: never what a program was given or said.
const note = (facts: Facts, values: object): void => {
  if ('sandbox_id' in values) facts.sandbox_id = String(values.sandbox_id).slice(0, 64);
  if ('policy' in values) facts.policy = String(values.policy).slice(0, 64);
};

// What breaks because the call was cancelled is a cancellation, whatever the layers below made of it.
const errorOf = (thrown: unknown, signal: AbortSignal): SandboxError =>
  signal.aborted && !(thrown instanceof SandboxError) ? new SandboxError('CANCELED', 'the call was cancelled', { cause: thrown }) : toSandboxError(thrown);

const record = (facts: Facts, outcome: Outcome, ms: number): void => {
  if (outcome.ok) return log.info({ ...facts, ms, outcome: 'ok' }, 'call');
  const { code, cause } = outcome.error;
  const line = { ...facts, ms, outcome: code, ...(cause === undefined ? {} : { err: cause }) };
  if (code === 'INTERNAL') log.error(line, 'call');
  else log.info(line, 'call');
};
