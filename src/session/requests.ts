/** What sessions are asked and what they answer, field by field as the contract has it. Whether a request is well-formed has been checked before. */

/** Who calls. A connection on stdio is one principal. */
export type Principal = string;

export interface Limits {
  memory_mb: number;
  cpus: number;
  pids: number;
  disk_mb: number;
}

export interface CreateInput {
  policy?: string;
  /** absolute path of a directory, or `none` */
  context?: string;
  env?: Record<string, string>;
  limits?: Partial<Limits>;
  ttl_s?: number;
  label?: string;
}

export interface Created {
  sandbox_id: string;
  policy: string;
  runtime: string;
  network: string;
  workspace: string;
  context: { files: number; bytes: number; digest: string; skipped: { path: string; reason: string }[]; skipped_count: number } | null;
  limits: Limits;
  /** ISO 8601 */
  expires_at: string;
  warnings: string[];
}

export interface ExecInput {
  command?: string;
  argv?: string[];
  cwd?: string;
  env?: Record<string, string>;
  stdin?: string;
  keep_stdin?: boolean;
  timeout_ms?: number;
  wait_ms?: number;
  tty?: boolean;
  rows?: number;
  cols?: number;
  max_output_bytes?: number;
  /** whether the reader is a model: lines of what is cut that look like errors are named (false) */
  nameErrors?: boolean;
}

export interface WaitInput {
  exec_id: string;
  stdin?: string;
  close_stdin?: boolean;
  /** with or without `SIG` */
  signal?: string;
  rows?: number;
  cols?: number;
  wait_ms?: number;
  max_output_bytes?: number;
  nameErrors?: boolean;
}

export type ExecStatus = 'exited' | 'signaled' | 'timed_out' | 'oom_killed' | 'canceled' | 'running';

export interface ExecResult {
  exec_id: string;
  status: ExecStatus;
  exit_code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  stdout_bytes: number;
  stderr_bytes: number;
  truncated: boolean;
  output_path: string;
  duration_ms: number;
}

export interface Listing {
  sandboxes: {
    sandbox_id: string;
    label: string | null;
    policy: string;
    runtime: string;
    state: 'creating' | 'running' | 'failed';
    created_at: string;
    expires_at: string;
    running: string[];
    usage: { memory_mb: number | null; pids: number | null; disk_mb: number | null; cpu_ms: number | null };
  }[];
  quota: { used: number; max: number };
}
