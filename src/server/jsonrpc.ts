/** JSON-RPC as IDEs speak it: the tools as methods with their dotted names, cancellation and progress as vscode-jsonrpc knows them, results as they are. */
import { createMessageConnection, ErrorCodes, ResponseError, StreamMessageWriter, type CancellationToken, type MessageConnection } from 'vscode-jsonrpc/node';
import { z } from 'zod';
import { ERRORS, SandboxError, type ErrorCode } from '../errors.ts';
import { issuesOf, type Issue } from '../issues.ts';
import { log } from '../log.ts';
import { ParamsError, type Ask, type Tool } from '../tool.ts';
import type { CallContext, Dispatch, Outcome } from './dispatch.ts';
import { FrameReader } from './frames.ts';
import type { Ending, Wire } from './messages.ts';
import { streamOutput, type OutputPart, type OutputStream } from './progress.ts';

export interface JsonRpcOptions {
  /** what the client calls */
  readonly dispatch: Dispatch;
  readonly wire: Wire;
  /** how the one who is connected is asked; left out: they cannot be */
  readonly ask?: (connection: MessageConnection) => Ask;
  /** what `server.info` answers */
  readonly info: { readonly name: string; readonly version: string; readonly policies: readonly string[]; readonly runtimes: readonly string[] };
}

export interface JsonRpcServer {
  /** resolves once, when no more messages can come or be sent */
  readonly ended: Promise<Ending>;
  /** cancels what runs and ends the connection */
  close(): void;
}

/** `data` of an error. */
interface ErrorData {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly hint: string;
  readonly issues?: readonly Issue[];
}

/** Serves one client until it is gone. Every call that is still running then is cancelled. */
export const serveJsonRpc = ({ dispatch, wire, info, ask }: JsonRpcOptions): JsonRpcServer => {
  const writer = new StreamMessageWriter(wire.output);
  const reader = new FrameReader(wire, writer, { takesAnswers: ask !== undefined });
  const connection = createMessageConnection(reader, writer);
  const calls = new Set<AbortController>();
  let isOver = false;
  const cancelAll = (): void => {
    isOver = true;
    calls.forEach((running) => running.abort());
  };
  void reader.ended.then(cancelAll);
  connection.onRequest(async (method: string, params: unknown, token: CancellationToken): Promise<object> => {
    if (method === 'server.info') return answerInfo(info, params);
    const tool = method.includes('.') ? dispatch.find(method) : undefined;
    if (tool === undefined) return new ResponseError(ErrorCodes.MethodNotFound, `unknown method ${JSON.stringify(method.slice(0, 60))}`);
    const running = new AbortController();
    calls.add(running);
    const listener = token.onCancellationRequested(() => running.abort());
    if (token.isCancellationRequested || isOver) running.abort(); // then the event has been
    try {
      return await call(connection, dispatch, tool, params, { signal: running.signal, forModel: false, ask: ask?.(connection) });
    } finally {
      listener.dispose();
      calls.delete(running);
    }
  });
  connection.onError(([error]) => log.debug({ err: error }, 'the JSON-RPC connection reports'));
  connection.listen();
  return { ended: reader.ended, close: () => (cancelAll(), connection.dispose()) };
};

const answerInfo = (info: JsonRpcOptions['info'], params: unknown): object => {
  const parsed = z.strictObject({}).safeParse(params ?? {});
  return parsed.success ? info : refusal(new ParamsError(issuesOf(parsed.error, params), 'server.info takes no parameters'));
};

const call = async (connection: MessageConnection, dispatch: Dispatch, tool: Tool, params: unknown, context: CallContext): Promise<object> => {
  const { signal } = context;
  const streaming = streamingOf(tool, params);
  if (streaming instanceof ParamsError) return refusal(streaming);
  const stream = streaming.token === null ? undefined : streamOutput(sendProgress(connection, streaming.token), signal);
  const outcome = await dispatch.run(tool, streaming.rest, { ...context, onOutput: stream?.take });
  await finish(stream, outcome);
  return answerOf(outcome, signal);
};

interface Streaming {
  /** null: the client wants no progress */
  readonly token: string | number | null;
  /** the parameters of the tool */
  readonly rest: unknown;
}

const ProgressToken = z.object({ progress_token: z.union([z.string(), z.int()], 'a string or a whole number').nullish() });

// `progress_token` is the wire's parameter and not the tool's; a tool that streams nothing does not know it.
const streamingOf = (tool: Tool, params: unknown): Streaming | ParamsError => {
  if (!tool.streams || typeof params !== 'object' || params === null || !('progress_token' in params)) return { token: null, rest: params };
  const parsed = ProgressToken.safeParse(params);
  if (!parsed.success) return new ParamsError(issuesOf(parsed.error, params), 'leave `progress_token` out where no progress is wanted');
  const { progress_token: _token, ...rest } = params;
  return { token: parsed.data.progress_token ?? null, rest };
};

// What cannot be sent is dropped: the client is gone then, and its calls are cancelled for that.
const sendProgress =
  (connection: MessageConnection, token: string | number) =>
  async (value: OutputPart): Promise<void> => {
    try {
      await connection.sendNotification('$/progress', { token, value });
    } catch (error) {
      log.debug({ err: error }, 'progress could not be sent');
    }
  };

// While a command runs on, the bytes of a last unfinished character are those of the next call.
const finish = async (stream: OutputStream | undefined, outcome: Outcome): Promise<void> => {
  if (!hasStatus(outcome, 'running')) await stream?.end();
};

// What was done before a cancellation came is told all the same: a sandbox that nobody knows of would stay.
const answerOf = (outcome: Outcome, signal: AbortSignal): object => {
  if (outcome.ok && !(signal.aborted && hasStatus(outcome, 'canceled'))) return outcome.result;
  if (!outcome.ok && !signal.aborted) return refusal(outcome.error);
  return refusal(new SandboxError('CANCELED', 'the call was canceled'), REQUEST_CANCELLED);
};

/** `RequestCancelled` of the Language Server Protocol, where `$/cancelRequest` comes from. */
const REQUEST_CANCELLED = -32800;

const hasStatus = (outcome: Outcome, status: string): boolean => outcome.ok && 'status' in outcome.result && outcome.result.status === status;

const refusal = (error: SandboxError, number: number = ERRORS[error.code].rpc): ResponseError<ErrorData> => {
  const { code, message, retryable, hint } = error;
  return new ResponseError(number, message, { code, retryable, hint, ...(error instanceof ParamsError ? { issues: error.issues } : {}) });
};
