/** Makes runsc out of gVisor's Go module and tries whether a runsc runs. */
import { execFile } from 'node:child_process';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { askGo, findGo, goEnvironment, goInstall, unbuilt, type Place, type Report } from './go.ts';
import { RUNSC_VERSION, runscFlags } from './runsc.ts';

const run = promisify(execFile);

const MODULE = 'gvisor.dev/gvisor';
/** Checksum of the module's content, as Go's database sum.golang.org has it for RUNSC_VERSION.   go help module-auth */
const MODULE_SUM = 'h1:AU5+CtCvnBnxdZRNcZt1NfSLqgkXZVT3N/u6u1aXg44=';

interface BuildOptions {
  /** a directory that is the build's alone; its owner removes it */
  readonly workshop: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/**
 * Builds runsc by `go install` and checks it: the module's checksum, then that it runs. Returns where it lies in the workshop, and what was checked.
 * Throws RUNTIME_UNAVAILABLE or HOST_FULL with Go's last lines as the cause; the signal's reason when it is aborted.
 */
export const buildRunsc = async ({ workshop, env, signal, report }: BuildOptions): Promise<{ program: string; verified: string }> => {
  const go = findGo(env);
  const [bin, tmp, empty] = [join(workshop, 'bin'), join(workshop, 'tmp'), join(workshop, 'empty')];
  for (const dir of [bin, tmp, empty]) await mkdir(dir, { recursive: true, mode: 0o700 });
  const place = { cwd: empty, env: goEnvironment(env, bin, tmp), signal };
  report({ kind: 'note', text: `building runsc from the Go module ${MODULE} ${RUNSC_VERSION}: a few minutes the first time, and about 1 GB in Go's caches` });
  await goInstall(go, ['-trimpath', '-ldflags', '-s -w', `${MODULE}/runsc@${RUNSC_VERSION}`], place, report);

  report({ kind: 'status', text: 'checking' });
  const program = join(bin, 'runsc');
  await chmod(program, 0o755).catch((cause: unknown) => {
    throw unbuilt(hasCode(cause, 'ENOENT') ? '`go install` ended well but made no runsc' : 'the result cannot be used', cause);
  });
  const toolchain = await checkModule(go, program, place);
  const flaw = await whyUnfit(program, signal);
  if (flaw) throw unbuilt(`what was built cannot be used: ${flaw}`);
  return { program, verified: `built by ${toolchain} from ${MODULE} with checksum ${MODULE_SUM}; ${await whoChecked(go, place)}; it runs` };
};

/** Seconds that a `runsc --version` may take. */
const ANSWER_DEADLINE_S = 10;

/** Why a runsc cannot be used, in words, or null when it runs and knows every flag that cellwall gives. */
export const whyUnfit = async (program: string, signal: AbortSignal): Promise<string | null> => {
  const flags = runscFlags({ root: '/', platform: 'systrap', network: 'none' }); // --version ends before any of them acts
  try {
    const { stdout } = await run(program, [...flags, '--version'], { cwd: '/', env: {}, signal, timeout: ANSWER_DEADLINE_S * 1000, killSignal: 'SIGKILL' });
    return stdout.startsWith('runsc version ') ? null : 'it is no runsc';
  } catch (error) {
    signal.throwIfAborted();
    const { killed = false, code, stderr = '' } = error as { killed?: boolean; code?: unknown; stderr?: string };
    if (killed) return `it did not answer within ${ANSWER_DEADLINE_S} s`;
    const unknown = /flag provided but not defined: -(\S+)/.exec(stderr)?.[1];
    return unknown
      ? `it is too old: it does not know --${unknown}`
      : `it does not run (${typeof code === 'number' ? `exit code ${code}` : typeof code === 'string' ? code : 'killed'})`;
  }
};

// A Go program carries the checksums of the modules it was made of. Returns the name of the toolchain.   go help version
const checkModule = async (go: string, program: string, place: Place): Promise<string> => {
  const made = await askGo(go, ['version', '-m', program], place);
  if (!made.includes(`\tmod\t${MODULE}\t${RUNSC_VERSION}\t${MODULE_SUM}\n`)) {
    throw new SandboxError('RUNTIME_UNAVAILABLE', 'runsc was thrown away: the module it was built from has another checksum than the one known here', {
      hint: 'look at GOPROXY and GOSUMDB, then `go clean -modcache`',
      cause: new Error(made.split('\n').find((line) => line.startsWith('\tmod\t')) ?? 'it names no module'),
    });
  }
  return /: (go\S+)/.exec(made)?.[1] ?? 'Go';
};

// Who vouched for the modules that gVisor's needs: honest where the user switched the database off.
const whoChecked = async (go: string, place: Place): Promise<string> => {
  const [database = '', exceptions = ''] = (await askGo(go, ['env', 'GOSUMDB', 'GONOSUMDB'], place)).split('\n');
  if (database === 'off' || database === '') return 'the modules it needs were not checked (GOSUMDB is off)';
  return `the modules it needs checked by ${database.split(/[ +]/, 1)[0]}${exceptions === '' ? '' : ` (but those that GONOSUMDB names: ${exceptions})`}`;
};
