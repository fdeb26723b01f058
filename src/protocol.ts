/**
 * The JSON-RPC wire for clients in TypeScript: `connection.sendRequest(SandboxExec, { … })`, with vscode-jsonrpc.
 * Only types come from the tools: importing this loads vscode-jsonrpc's messages and the table of errors, nothing of the server.
 */
import { ProgressType, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type apply from '../tools/apply.ts';
import type create from '../tools/create.ts';
import type destroy from '../tools/destroy.ts';
import type diff from '../tools/diff.ts';
import type exec from '../tools/exec.ts';
import type list from '../tools/list.ts';
import type read from '../tools/read.ts';
import type search from '../tools/search.ts';
import type wait from '../tools/wait.ts';
import type write from '../tools/write.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import type { TypedTool } from './tool.ts';

/** `data` of the errors that methods answer with. */
export interface ErrorData {
  code: ErrorCode;
  /** whether the same call may succeed later */
  retryable: boolean;
  /** what to do next */
  hint: string;
  /** with INVALID_PARAMS: what is wrong with which parameter */
  issues?: { path: string; message: string }[];
}

/** For methods that run a command. */
export interface Streaming {
  /** asks for `$/progress` with this token while the command runs; left out: none */
  progress_token?: string | number;
}

/** A part of what a command wrote. All parts come in order and before the answer; together they are the whole output. */
export interface OutputPart {
  stream: 'stdout' | 'stderr';
  text: string;
}

/** For `connection.onProgress(Output, token, handler)`. */
export const Output = new ProgressType<OutputPart>();

export interface ServerInfo {
  name: string;
  version: string;
  /** names of the policies that are loaded */
  policies: string[];
  /** names of the runtimes that it knows */
  runtimes: string[];
}

export const GetServerInfo = new RequestType0<ServerInfo, ErrorData>('server.info');

type AnyTool = TypedTool<string, unknown, unknown>;
type Params<Tool extends AnyTool> = NonNullable<Tool['types']>['params'];
type Result<Tool extends AnyTool> = NonNullable<Tool['types']>['result'];

// What a tool is called, takes and answers, as its definition says.
const method = <Tool extends AnyTool, More = unknown>(name: Tool['name']) => new RequestType<Params<Tool> & More, Result<Tool>, ErrorData>(name);

export const SandboxCreate = method<typeof create>('sandbox.create');
export const SandboxExec = method<typeof exec, Streaming>('sandbox.exec');
export const SandboxWait = method<typeof wait, Streaming>('sandbox.wait');
export const SandboxRead = method<typeof read>('sandbox.read');
export const SandboxWrite = method<typeof write>('sandbox.write');
export const SandboxSearch = method<typeof search>('sandbox.search');
export const SandboxDiff = method<typeof diff>('sandbox.diff');
/** Only where the server was started with `--allow-apply`; over JSON-RPC nobody can be asked, so that it says what a person can run. */
export const SandboxApply = method<typeof apply>('sandbox.apply');
export const SandboxList = method<typeof list>('sandbox.list');
export const SandboxDestroy = method<typeof destroy>('sandbox.destroy');

/** What a method takes: `ParamsOf<typeof SandboxExec>`. */
export type ParamsOf<Method> = Method extends RequestType<infer Taken, unknown, ErrorData> ? Taken : never;

/** What a method answers: `ResultOf<typeof SandboxExec>`. */
export type ResultOf<Method> = Method extends RequestType<unknown, infer Answered, ErrorData> ? Answered : never;

/** The number of a request that its client cancelled; `data.code` is `CANCELED`. */
export const REQUEST_CANCELLED = -32800;

/** The number of each other error, by its code. */
export const NUMBERS = Object.fromEntries(Object.entries(ERRORS).map(([code, { rpc }]) => [code, rpc])) as {
  readonly [Code in ErrorCode]: (typeof ERRORS)[Code]['rpc'];
};
