/** The codes that may cross the wire. One table: number for JSON-RPC, whether trying again can help, what to do next. */
interface ErrorInfo {
  /** positive JSON-RPC error number; null where only MCP uses the code */
  readonly rpc: number | null;
  /** whether the same call may succeed later */
  readonly retryable: boolean;
  /** what to do next, when the thrower knows nothing better */
  readonly hint: string;
}

export const ERRORS = {
  POLICY_UNKNOWN: { rpc: 1001, retryable: false, hint: 'use one of the policies named in the schema of sandbox_create' },
  POLICY_INVALID: { rpc: 1002, retryable: false, hint: 'mend the policy file; `policies/schema.json` describes every field' },
  LIMIT_EXCEEDED: { rpc: 1003, retryable: false, hint: 'ask for no more than the policy allows' },
  CONTEXT_REFUSED: { rpc: 1004, retryable: false, hint: 'use a directory inside an allowed root, or start cellwall with --allow-root DIR' },
  CONTEXT_TOO_LARGE: { rpc: 1005, retryable: false, hint: 'name a smaller directory, or leave more out with `context.exclude` in a policy' },
  CONTEXT_NOT_FOUND: { rpc: 1006, retryable: false, hint: 'name a directory that exists, by its absolute path' },
  INVALID_PARAMS: { rpc: -32602, retryable: false, hint: 'correct the parameter and call again' },
  SANDBOX_NOT_FOUND: { rpc: 1101, retryable: false, hint: 'create one with sandbox_create, or look with sandbox_list' },
  SANDBOX_EXPIRED: { rpc: 1102, retryable: false, hint: 'create a new one with sandbox_create' },
  SANDBOX_FAILED: { rpc: 1103, retryable: false, hint: 'destroy it with sandbox_destroy and create a new one' },
  QUOTA_EXCEEDED: { rpc: 1104, retryable: true, hint: 'destroy a sandbox that is no longer needed' },
  EXEC_NOT_FOUND: { rpc: 1201, retryable: false, hint: 'use an exec_id that sandbox_exec returned for this sandbox' },
  EXEC_FAILED: { rpc: 1202, retryable: false, hint: 'check the program and the working directory' },
  PATH_NOT_FOUND: { rpc: 1301, retryable: false, hint: 'list the directory with sandbox_read' },
  PATH_REFUSED: { rpc: 1302, retryable: false, hint: 'use a path below /workspace, /tmp or /home/agent' },
  NOT_TEXT: { rpc: 1303, retryable: false, hint: 'read it with encoding "base64"' },
  EDIT_MISMATCH: { rpc: 1304, retryable: false, hint: 'read the file and use its exact text' },
  WRITE_CONFLICT: { rpc: 1305, retryable: false, hint: 'read the file again' },
  DISK_FULL: { rpc: 1306, retryable: true, hint: 'remove files inside the sandbox' },
  RUNTIME_UNAVAILABLE: { rpc: 1401, retryable: false, hint: 'run `cellwall setup`' },
  RUNTIME_FAILED: { rpc: 1402, retryable: true, hint: 'try again; the log of the server has the details' },
  CANCELED: { rpc: 1501, retryable: true, hint: 'call again if the result is still wanted' },
  TIMED_OUT: { rpc: 1502, retryable: true, hint: 'try again, or ask for less at once' },
  APPLY_REFUSED: { rpc: 1601, retryable: false, hint: 'run `cellwall apply` on the host' },
  APPLY_CONFLICT: { rpc: 1602, retryable: false, hint: 'look at the diff again' },
  HOST_FULL: { rpc: 1701, retryable: true, hint: 'free memory or disk on the host' },
  INTERNAL: { rpc: 1901, retryable: false, hint: 'the log of the server has the details' },
} as const satisfies Record<string, ErrorInfo>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * The only error that crosses the wire. Its message says what failed and why, without a path of the host, an argv or a stack;
 * the hint says what to do. What must not be seen outside goes into `cause`, which only the log shows.
 */
export class SandboxError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'SandboxError';
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.retryable = ERRORS[code].retryable;
  }
}

/** Any thrown value as an error of the contract: what is not one already is INTERNAL, with the original as its cause. */
export const toSandboxError = (thrown: unknown): SandboxError =>
  thrown instanceof SandboxError ? thrown : new SandboxError('INTERNAL', 'an internal error occurred', { cause: thrown });
