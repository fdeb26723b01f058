/** What every runtime can do, and nothing else: the narrow door between sessions and what isolates. */
import type { SandboxError } from '../errors.ts';
import type { Spec } from '../oci/spec.ts';

/** Name of a sandbox towards its runtime, of one length for all. */
export type SandboxId = string;

/** What a sandbox is made of. */
export interface Bundle {
  readonly spec: Spec;
  /** how the runtime gets hold of system calls, as the policy has it */
  readonly platform: string;
  /** a directory of the host that is seen inside, read-only, where the runtime puts programs of its own */
  readonly programs: { readonly host: string; readonly inside: string };
  /** memory that files of the sandbox may take on the host, in `bytes`: it is no program's, and comes on top of the limit */
  readonly fileMemory: number;
}

/** Path inside of the program that is pid 1, in the directory of programs. */
export const INIT_NAME = 'init';

/** One program to run inside. */
export interface ProcessSpec {
  /** name that is unique among the execs of its sandbox: letters, digits, `_` */
  readonly id: string;
  /** the program, looked up in the PATH of `env` when it holds no slash, and its arguments */
  readonly argv: readonly string[];
  /** the whole environment */
  readonly env: Readonly<Record<string, string>>;
  /** absolute path inside */
  readonly cwd: string;
}

/** Descriptors of the host that become 0, 1 and 2 inside; the caller keeps and closes its own. */
export interface Io {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  /** whether all three are the slave of one pseudo-terminal, which is to be the program's controlling terminal */
  readonly isTerminal: boolean;
}

/** How a program ended: one of the two is there. */
export interface Exit {
  readonly code: number | null;
  /** signal number */
  readonly signal: number | null;
}

/** Whom a signal reaches: the group that a program leads, or whatever runs in the foreground of its terminal. */
export type SignalTarget = 'group' | 'foreground';

/** A program that has been started. */
export interface Running {
  /** when its first process ends; rejects with StartError or SandboxGone when there is no such end */
  readonly exit: Promise<Exit>;
  /** sends a signal to the process group that it leads, or to the one in the foreground of its terminal */
  signal(signal: number, target: SignalTarget): Promise<void>;
  /** ends all that it started, by force; answers when nothing of it lives */
  killAll(): Promise<void>;
}

/** What could not be started: there is no such program; it is there and cannot be run; or something else was in the way. */
export type StartFlaw = 'missing' | 'unusable' | 'other';

/** Why a program could not be started: an error of the caller's, told as EXEC_FAILED. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly flaw: StartFlaw;

  constructor(message: string, flaw: StartFlaw) {
    super(message);
    this.flaw = flaw;
  }
}

/** The sandbox went away under a program. */
export class SandboxGone extends Error {
  override readonly name = 'SandboxGone';
}

/** Why a sandbox has ended by itself. */
export interface Ending {
  /** for the message of an error: `its kernel has ended` */
  readonly reason: string;
  readonly outOfMemory: boolean;
}

export interface Usage {
  /** `MiB`, null where nothing measures it */
  readonly memoryMb: number | null;
  readonly pids: number | null;
  readonly cpuMs: number | null;
}

export interface Runtime {
  readonly name: string;
  /** whether it can run here; throws SandboxError RUNTIME_UNAVAILABLE with the reason and the way out */
  probe(): Promise<void>;
  /** what of a policy's limits holds here less strictly than it says, in sentences for the user */
  readonly weaknesses: readonly string[];
  /** starts a sandbox; throws RUNTIME_FAILED and leaves nothing behind */
  create(id: SandboxId, bundle: Bundle, signal: AbortSignal): Promise<void>;
  /** starts a program; throws StartError when it cannot be, SandboxGone when the sandbox cannot */
  exec(id: SandboxId, process: ProcessSpec, io: Io): Promise<Running>;
  /** resolves, with the reason, when a sandbox has ended, by itself or from outside */
  ended(id: SandboxId): Promise<Ending>;
  usage(id: SandboxId): Promise<Usage>;
  /** ids of programs that have ended and left others running */
  background(id: SandboxId): Promise<readonly string[]>;
  /** ends a sandbox and everything of it; idempotent */
  destroy(id: SandboxId): Promise<void>;
  /** ends what belongs to no sandbox in particular; no sandbox lives any more */
  close(): Promise<void>;
}

/** What a runtime is made from. */
export interface RuntimeOptions {
  /** directory of the server's own, 0700, for what the runtimes keep */
  readonly directory: string;
  /** absolute path of runsc, or the reason why there is none */
  readonly runsc: { readonly path: string } | { readonly error: SandboxError };
  /** directory for what outlives the server */
  readonly cacheDir: string;
}
