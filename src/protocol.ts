/**
 * The JSON-RPC wire for clients in TypeScript: `import { SandboxExec } from 'cellwall/protocol'` and `connection.sendRequest(SandboxExec, { … })`.
 * Types only come from the server: importing this loads vscode-jsonrpc and the table of errors, nothing else.
 */
import { ProgressType, RequestType, RequestType0 } from 'vscode-jsonrpc';
import { ERRORS, type ErrorCode } from './errors.ts';
import type { Created, CreateInput, ExecInput, ExecResult, Listing, WaitInput } from './session/requests.ts';
import type { ReadInput, ReadResult } from './workspace/files.ts';
import type { WriteInput, WriteResult } from './workspace/write.ts';

interface InSandbox {
  sandbox_id: string;
}

/** Asks for `$/progress` with this token while the command runs. */
interface Streaming {
  progress_token?: string | number;
}

/** `data` of every error that a method answers with; its number is `NUMBERS[data.code]`. */
export interface ErrorData {
  code: ErrorCode;
  retryable: boolean;
  hint: string;
  /** with INVALID_PARAMS: what is wrong with which parameter */
  issues?: { path: string; message: string }[];
}

/** A part of what a command wrote, in order; all of it comes before the answer. */
export interface OutputPart {
  stream: 'stdout' | 'stderr';
  text: string;
}

export interface ServerInfo {
  name: string;
  version: string;
  policies: string[];
  runtimes: string[];
}

export const GetServerInfo = new RequestType0<ServerInfo, ErrorData>('server.info');
export const SandboxCreate = new RequestType<CreateInput, Created, ErrorData>('sandbox.create');
export const SandboxExec = new RequestType<ExecInput & InSandbox & Streaming, ExecResult, ErrorData>('sandbox.exec');
export const SandboxWait = new RequestType<WaitInput & InSandbox & Streaming, ExecResult, ErrorData>('sandbox.wait');
export const SandboxRead = new RequestType<ReadInput & InSandbox, ReadResult, ErrorData>('sandbox.read');
export const SandboxWrite = new RequestType<WriteInput & InSandbox, WriteResult, ErrorData>('sandbox.write');
export const SandboxList = new RequestType<Record<string, never>, Listing, ErrorData>('sandbox.list');
export const SandboxDestroy = new RequestType<InSandbox, { destroyed: true }, ErrorData>('sandbox.destroy');

/** For `connection.onProgress(Output, token, …)`. */
export const Output = new ProgressType<OutputPart>();

/** The number of each error code on this wire. */
export const NUMBERS: Readonly<Record<ErrorCode, number>> = Object.fromEntries(Object.entries(ERRORS).map(([code, { rpc }]) => [code, rpc])) as Record<
  ErrorCode,
  number
>;
