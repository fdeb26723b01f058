/** JSON-RPC over `Content-Length` frames, as IDEs speak it: the tools as methods with their dotted names, cancellation and progress as vscode-jsonrpc knows them. */
import {
  createMessageConnection,
  ErrorCodes,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
  type CancellationToken,
  type Message,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import { ERRORS, type SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import { ParamsError, type Tool } from '../tool.ts';
import type { Dispatch } from './dispatch.ts';
import { FrameGuard } from './frames.ts';
import type { Ending, Wire } from './lines.ts';

export interface JsonRpcOptions {
  readonly dispatch: Dispatch;
  readonly wire: Wire;
  /** what `server.info` says */
  readonly info: { readonly name: string; readonly version: string; readonly policies: readonly string[]; readonly runtimes: readonly string[] };
}

export interface JsonRpcServer {
  /** resolves once, when no more messages can come or be sent */
  readonly ended: Promise<Ending>;
  /** cancels what runs and ends the connection */
  close(): void;
}

/** `window/requestCancelled` of the Language Server Protocol, which `$/cancelRequest` comes from. */
const REQUEST_CANCELLED = -32800;

/** Serves one client until it is gone. */
export const serveJsonRpc = ({ dispatch, wire, info }: JsonRpcOptions): JsonRpcServer => {
  const guard = new FrameGuard();
  const writer = new StreamMessageWriter(wire.output);
  const connection = createMessageConnection(new RequestReader(wire.input.pipe(guard), writer), writer);
  const calls = new Set<AbortController>();
  const abortAll = (): void => calls.forEach((call) => call.abort());

  const ended = new Promise<Ending>((resolve) => {
    const gone =
      (reason: string, exitCode: 0 | 1 = 0) =>
      (): void =>
        resolve({ reason, exitCode });
    wire.input.on('end', gone('end of stdin')).on('close', gone('stdin was closed')).on('error', gone('stdin failed'));
    wire.output.on('error', gone('stdout was closed by the client')).on('close', gone('stdout was closed'));
    guard.on('error', (error) => resolve({ reason: error.message, exitCode: 1 }));
  });
  void ended.then(abortAll);

  connection.onRequest(async (method: string, params: unknown, token: CancellationToken) => {
    if (method === 'server.info') return info;
    const tool = method.includes('.') ? dispatch.find(method) : undefined;
    if (tool === undefined) return new ResponseError(ErrorCodes.MethodNotFound, `unknown method ${JSON.stringify(method.slice(0, 60))}`);
    const call = new AbortController();
    calls.add(call);
    // A cancellation that was queued before this handler ran never fires its event.
    if (token.isCancellationRequested) call.abort();
    const listener = token.onCancellationRequested(() => call.abort());
    try {
      return await run(connection, dispatch, tool, params, call.signal);
    } finally {
      listener.dispose();
      calls.delete(call);
    }
  });
  connection.onError(([error]) => log.debug({ reason: error.message.slice(0, 200) }, 'the JSON-RPC connection reports'));
  connection.onUnhandledNotification(({ method }) => log.debug({ method: method.slice(0, 60) }, 'an unknown notification is skipped'));
  connection.listen();
  return { ended, close: () => (abortAll(), connection.dispose()) };
};

const run = async (connection: MessageConnection, dispatch: Dispatch, tool: Tool, params: unknown, signal: AbortSignal): Promise<object> => {
  const { progressToken, rest } = progressOf(params);
  const stream = progressToken === undefined ? undefined : new Progress(connection, progressToken);
  const outcome = await dispatch.run(tool, rest, signal, stream?.take);
  await stream?.end();
  if (signal.aborted) return errorOf(REQUEST_CANCELLED, { code: 'CANCELED', message: 'the call was canceled', ...ERRORS.CANCELED });
  return outcome.ok ? outcome.result : refusalOf(outcome.error);
};

const refusalOf = (error: SandboxError): ResponseError<object> => {
  const issues = error instanceof ParamsError ? { issues: error.issues } : {};
  return errorOf(ERRORS[error.code].rpc, { ...error, message: error.message, ...issues });
};

const errorOf = (
  number: number,
  { code, message, retryable, hint, ...more }: { code: string; message: string; retryable: boolean; hint: string; issues?: unknown },
): ResponseError<object> => new ResponseError(number, message, { code, retryable, hint, ...('issues' in more ? { issues: more.issues } : {}) });

// `progress_token` is the wire's, not the tool's.
const progressOf = (params: unknown): { progressToken: string | number | undefined; rest: unknown } => {
  if (typeof params !== 'object' || params === null || !('progress_token' in params)) return { progressToken: undefined, rest: params };
  const { progress_token: token, ...rest } = params;
  return typeof token === 'string' || typeof token === 'number'
    ? { progressToken: token, rest }
    : { progressToken: undefined, rest: token === null ? rest : params };
};

/** Output on its way as `$/progress`: decoded so that no character is cut, and no faster than the client reads. */
class Progress {
  readonly #connection: MessageConnection;
  readonly #token: string | number;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(connection: MessageConnection, token: string | number) {
    this.#connection = connection;
    this.#token = token;
  }

  readonly take = (stream: 'stdout' | 'stderr', bytes: Buffer): Promise<void> => this.#send(stream, this.#decoders[stream].decode(bytes, { stream: true }));

  async end(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) await this.#send(stream, this.#decoders[stream].decode());
  }

  async #send(stream: string, text: string): Promise<void> {
    if (text !== '') await this.#connection.sendNotification('$/progress', { token: this.#token, value: { stream, text } });
  }
}

/** Answers what is JSON but no message: vscode-jsonrpc would only log it. */
class RequestReader extends StreamMessageReader {
  readonly #writer: StreamMessageWriter;

  constructor(input: FrameGuard, writer: StreamMessageWriter) {
    super(input);
    this.#writer = writer;
  }

  override listen(callback: (message: Message) => void): ReturnType<StreamMessageReader['listen']> {
    return super.listen((message: Message) => {
      if (isMessage(message)) callback(message);
      else
        void this.#writer.write({
          jsonrpc: '2.0',
          id: null,
          error: { code: ErrorCodes.InvalidRequest, message: 'a message is one object; batches are not taken' },
        } as unknown as Message);
    });
  }
}

const isMessage = (message: unknown): boolean =>
  typeof message === 'object' && message !== null && !Array.isArray(message) && ('method' in message || 'id' in message);
