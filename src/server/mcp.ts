/** MCP: the tools as a server of both protocol eras shows them, and the calls as it answers them. */
import { ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import type { CallToolRequest, CallToolResult, InputRequiredResult, ServerContext, Tool as ListedTool, Transport } from '@modelcontextprotocol/server';
import { serveStdio, type StdioServerHandle } from '@modelcontextprotocol/server/stdio';
import type { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { Tool } from '../tool.ts';
import { cleanOutput } from './clean.ts';
import { Consent, type Asking } from './consent.ts';
import { underscored, type Dispatch } from './dispatch.ts';
import { reportProgress } from './progress.ts';

export interface McpOptions {
  /** of this server */
  readonly version: string;
  /** which forms of a result are sent: text for a model, fields for a program */
  readonly toolResults: 'both' | 'text' | 'structured';
  /** whether tools are advertised as `sandbox.exec` */
  readonly dottedNames: boolean;
  /** told the URIs of the client's roots, when they are known and whenever they change; a promise, because asking takes a round trip */
  readonly onRoots?: ((roots: Promise<readonly string[]>) => void) | undefined;
}

/** For a model; hosts cut it at 512 (ChatGPT) or 2 048 characters, so what matters comes first. */
export const INSTRUCTIONS = `\
Sandboxes: throw-away Linux computers in which any command may be run without harm to the user's machine. \
Use them to build, test, run untrusted code or try a change. Workflow: sandbox_create copies a project directory to /workspace and returns a sandbox_id; \
then sandbox_exec and sandbox_read as often as needed; sandbox_destroy at the end. \
There is no network inside: nothing can be downloaded or installed, use the tools that are there. \
The user's own files are never changed.
A command that fails is a result with its exit code, not an error. An error says what to do in its line \`hint:\`. \
Files stay between commands, shell variables and the working directory do not.`;

/** With what is true of these tools. */
const instructionsOf = (dispatch: Dispatch): string =>
  dispatch.find('sandbox.apply') === undefined
    ? INSTRUCTIONS
    : INSTRUCTIONS.replace('are never changed.', 'are changed by sandbox_apply alone, after the user has agreed.');

/** Serves MCP on a transport until it closes. Every call that is still running then is cancelled. */
export const serveMcp = (dispatch: Dispatch, transport: Transport, options: McpOptions): StdioServerHandle => {
  const consent = new Consent();
  return serveStdio(() => createServer(dispatch, options, consent), {
    transport,
    onerror: (error) => log.debug({ reason: error.message.slice(0, 200) }, 'the MCP connection reports'),
  });
};

/** the list of tools and the server's description are the same for its whole life */
const CACHE = { ttlMs: 3_600_000, cacheScope: 'private' } as const;

const createServer = (dispatch: Dispatch, options: McpOptions, consent: Consent): Server => {
  const tools = listTools(dispatch, options);
  const server = new Server(
    { name: 'cellwall', title: 'cellwall', version: options.version },
    { capabilities: { tools: {} }, instructions: instructionsOf(dispatch), cacheHints: { 'tools/list': CACHE, 'server/discover': CACHE } },
  );
  if (options.onRoots) followRoots(server, options.onRoots);
  server.setRequestHandler('tools/list', () => ({ tools }));
  server.setRequestHandler('tools/call', (request, context) =>
    callTool(dispatch, options, request.params, context, consent.forCall(request.params, context.mcpReq, server.getClientCapabilities())),
  );
  return server;
};

/** What a client may take to name its roots, in `ms`. */
const ROOTS_TIMEOUT_MS = 5000;

// Clients of the 2025 era are asked; the 2026 era has no roots, its clients name a context.
const followRoots = (server: Server, onRoots: NonNullable<McpOptions['onRoots']>): void => {
  const ask = (): void => {
    if (server.getClientCapabilities()?.roots === undefined) return;
    const listed = server.listRoots(undefined, { timeout: ROOTS_TIMEOUT_MS }).then(({ roots }) => roots.map(({ uri }) => uri));
    onRoots(
      listed.catch((error: unknown) => {
        log.warn({ err: error }, 'the client does not name its roots');
        return [];
      }),
    );
  };
  server.oninitialized = ask;
  server.setNotificationHandler('notifications/roots/list_changed', ask);
};

const listTools = (dispatch: Dispatch, { dottedNames, toolResults }: McpOptions): ListedTool[] =>
  dispatch.methods.map(({ tool, inputSchema }) => ({
    name: dottedNames ? tool.name : underscored(tool.name),
    description: tool.description,
    inputSchema,
    ...(tool.outputSchema === null || toolResults === 'text' ? {} : { outputSchema: tool.outputSchema }),
    annotations: tool.annotations,
  }));

const callTool = async (
  dispatch: Dispatch,
  options: McpOptions,
  params: CallToolRequest['params'],
  { mcpReq }: ServerContext,
  asking: Asking,
): Promise<CallToolResult | InputRequiredResult> => {
  const tool = dispatch.find(params.name);
  if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `unknown tool ${JSON.stringify(params.name.slice(0, 60))}`);
  const { onOutput, stop } = reportProgress(mcpReq);
  const outcome = await dispatch.run(tool, params.arguments, { signal: mcpReq.signal, forModel: true, ask: asking.ask, onOutput }).finally(stop);
  const question = outcome.ok ? null : asking.required();
  if (question !== null) return question;
  return outcome.ok ? success(tool, cleaned(tool, outcome.result), options) : failure(outcome.error);
};

const success = (tool: Tool, result: object, { toolResults }: McpOptions): CallToolResult => {
  if (tool.outputSchema === null) return { content: [...tool.show(result)], _meta: { 'cellwall/result': without(result, tool.shownOnly) } };
  return {
    content: toolResults === 'structured' ? [] : [...tool.show(result)],
    ...(toolResults === 'text' ? {} : { structuredContent: { ...result } }),
  };
};

const failure = ({ code, message, hint, retryable }: SandboxError): CallToolResult => ({
  isError: true,
  content: [{ type: 'text', text: cleanOutput(`${code}: ${message}\nhint: ${hint}`) }],
  _meta: { 'cellwall/error': { code, retryable, hint } },
});

// What a program printed, for a model. Equal lines are folded only where output had to be cut anyway.
const cleaned = (tool: Tool, result: object): object => {
  const fold = 'truncated' in result && result.truncated === true;
  const fields = Object.entries(result).map(([name, value]: [string, unknown]) => [name, tool.printed.includes(name) ? cleanedValue(value, fold) : value]);
  return Object.fromEntries(fields) as object;
};

const cleanedValue = (value: unknown, fold: boolean): unknown => {
  if (typeof value === 'string') return cleanOutput(value, { fold });
  if (Array.isArray(value)) return value.map((one) => cleanedValue(one, fold));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]: [string, unknown]) => [name, cleanedValue(part, fold)]));
};

const without = (result: object, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(result).filter(([name]) => !names.includes(name)));
