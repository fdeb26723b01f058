/** Go, the tool that makes runsc: where it is, what of the environment reaches it, what its words mean. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { SandboxError, type ErrorCode } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { programsOnPath } from './trust.ts';

/** What setup does: a `note` is worth a line of its own, a `status` is overtaken by the next one. */
export interface Progress {
  readonly kind: 'note' | 'status';
  readonly text: string;
}

export type Report = (progress: Progress) => void;

/** Where Go runs. */
export interface Place {
  /** an empty directory: Go looks for a project around it */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** What the go.mod of RUNSC_VERSION asks for. */
const GO_NEEDED = '1.26.3';
const OTHER_WAYS = 'or put a release of runsc into /usr/local/bin, or name one by CELLWALL_RUNSC';

/**
 * The first `go` of `PATH`; RUNTIME_UNAVAILABLE when there is none. Go is the user's own tool, as node is: who may write it is not asked.
 * Relative directories do not count.
 */
export const findGo = (env: NodeJS.ProcessEnv): string => {
  const [go] = programsOnPath('go', env['PATH'] ?? '');
  if (go !== undefined) return go;
  throw new SandboxError('RUNTIME_UNAVAILABLE', 'runsc cannot be built: there is no `go` in PATH', { hint: `install Go ${GO_NEEDED} or later; ${OTHER_WAYS}` });
};

/** What says where Go is, where it keeps things and whom it asks. Every other variable of Go's could change what is built, or fail it. */
const KEPT = new Set(
  'GOROOT GOPATH GOMODCACHE GOCACHE GOENV GOTOOLCHAIN GOPROXY GONOPROXY GOPRIVATE GOSUMDB GONOSUMDB GOINSECURE GOAUTH GOVCS GODEBUG'.split(' '),
);

/** The environment in which Go builds for this machine, into `bin`. An empty variable would let the file of `go env -w` speak, so each that matters has a value. */
export const goEnvironment = (env: NodeJS.ProcessEnv, bin: string, tmp: string): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(env).filter(([name]) => KEPT.has(name) || !/^C?GO/.test(name))),
  GOBIN: bin,
  GOTMPDIR: tmp,
  GOFLAGS: '-trimpath',
  GO111MODULE: 'on',
  GOWORK: 'off',
  GOOS: 'linux',
  GOARCH: process.arch === 'arm64' ? 'arm64' : 'amd64',
  CGO_ENABLED: '0',
});

/**
 * Runs `go install -v` with these arguments and reports what it downloads and compiles. Throws RUNTIME_UNAVAILABLE or HOST_FULL with Go's last lines as the
 * cause. It leads a process group of its own, so that an abort ends its compilers and the terminal's Ctrl-C reaches only us.
 */
export const goInstall = async (go: string, args: readonly string[], { cwd, env, signal }: Place, report: Report): Promise<void> => {
  signal.throwIfAborted();
  const child = spawn(go, ['install', '-v', ...args], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const kill = (): void => killGroup(child.pid);
  signal.addEventListener('abort', kill, { once: true });
  try {
    const [[code], said] = await Promise.all([once(child, 'close') as Promise<[number | null]>, listen(child.stderr, report)]);
    signal.throwIfAborted();
    if (code === 0) return;
    throw explain(code, said.join('\n'));
  } catch (error) {
    throw error instanceof SandboxError || signal.aborted ? error : unbuilt('`go` could not be started', error);
  } finally {
    signal.removeEventListener('abort', kill);
  }
};

const killGroup = (pid: number | undefined): void => {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
};

/** Lines of Go's that are shown when it fails. */
const LAST_LINES = 15;

// `go: downloading …` and, from -v, one package path a line are progress; what remains is what Go has to say.
const listen = async (stderr: Readable, report: Report): Promise<string[]> => {
  const said: string[] = [];
  let [modules, packages] = [0, 0];
  for await (const line of createInterface({ input: stderr })) {
    if (line.startsWith('go: downloading ')) report({ kind: 'status', text: `downloading: ${++modules} modules` });
    else if (/^[\w./~-]+$/.test(line)) report({ kind: 'status', text: `compiling: ${++packages} packages` });
    else if (line.trim() !== '' && said.push(line) > LAST_LINES) said.shift();
  }
  return said;
};

/** What Go's words mean: the first that fits. */
const EXPLANATIONS: readonly { says: RegExp; code: ErrorCode; why: string; hint: string }[] = [
  { says: /no space left|quota exceeded/i, code: 'HOST_FULL', why: 'the disk is full', hint: 'free about 2 GB' },
  {
    says: /checksum mismatch|SECURITY ERROR/,
    code: 'RUNTIME_UNAVAILABLE',
    why: 'what came is not what the checksum database knows',
    hint: 'do not use it: look at GOPROXY, then `go clean -modcache`',
  },
  {
    says: /requires go >= |toolchain not available|invalid go version/,
    code: 'RUNTIME_UNAVAILABLE',
    why: 'this Go is too old',
    hint: `install Go ${GO_NEEDED} or later; ${OTHER_WAYS}`,
  },
  {
    says: /dial tcp|no such host|connection (refused|reset)|timeout|unreachable|proxyconnect|x509|GOPROXY|Bad Gateway/i,
    code: 'RUNTIME_UNAVAILABLE',
    why: 'its modules could not be fetched',
    hint: `Go needs the network once, through GOPROXY and HTTPS_PROXY where they are set; ${OTHER_WAYS}`,
  },
];

const explain = (code: number | null, said: string): SandboxError => {
  const known = EXPLANATIONS.find(({ says }) => says.test(said));
  const cause = new Error(said || 'go said nothing');
  if (known) return new SandboxError(known.code, `runsc could not be built: ${known.why}`, { hint: known.hint, cause });
  return unbuilt(code === null ? '`go install` was killed' : `\`go install\` ended with exit code ${code}`, cause);
};

/** A build that failed, with what to do about it. */
export const unbuilt = (why: string, cause?: unknown): SandboxError =>
  new SandboxError('RUNTIME_UNAVAILABLE', `runsc could not be built: ${why}`, {
    hint: `mend what Go names and run \`cellwall setup\` again; ${OTHER_WAYS}`,
    cause,
  });

const run = promisify(execFile);

/** What a short command of Go's prints. Throws RUNTIME_UNAVAILABLE when it fails or takes a minute. */
export const askGo = async (go: string, args: string[], { cwd, env, signal }: Place): Promise<string> => {
  try {
    return (await run(go, args, { cwd, env, signal, timeout: 60_000, killSignal: 'SIGKILL' })).stdout;
  } catch (error) {
    signal.throwIfAborted();
    throw unbuilt(`the result could not be checked, \`go ${args[0]}\` failed`, error);
  }
};
