/**
 * The way back: what the control socket does, done by runsc's own commands, for a runsc whose socket the self-test did not understand.
 * Slower, and just as safe; an exit code above 128 cannot be told from a signal here.
 */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SandboxError } from '../../errors.ts';
import { O_CLOEXEC, O_RDWR } from '../../syscall/constants.ts';
import { programOf, sealedProgram } from '../../syscall/elf.ts';
import type { Fd } from '../../syscall/files.ts';
import { launchCommand } from '../../syscall/launch.ts';
import { reap, waitForEnd, type Child } from '../../syscall/process.ts';
import type { Exit } from '../runtime.ts';
import { ENVIRONMENT } from './cli.ts';
import type { Program, Started } from './control.ts';
import type { Sandbox } from './sandbox.ts';

let calls = 0;

/** `runsc exec` of the program in `image`. The process is given in a file, because every user of the host can read an argv. */
export const executeByCli = async (sandbox: Sandbox, { image, capabilities, descriptors, isTerminal }: Program): Promise<Started> => {
  if (isTerminal) throw new SandboxError('RUNTIME_UNAVAILABLE', 'this runsc gives no terminals', { hint: 'run the command without `tty`' });
  const base = `${sandbox.logFile}.${(calls += 1)}`;
  const [processFile, pidFile] = [`${base}.process`, `${base}.pid`];
  const forget = (): void => [processFile, pidFile].forEach((file) => rmSync(file, { force: true }));
  writeFileSync(processFile, JSON.stringify(processOf(capabilities)), { mode: 0o600 });
  const passed = descriptors.slice(3).map((_, index) => `--pass-fd=${index + 3}:${index + 3}`);
  const args = [
    ...sandbox.flags,
    'exec',
    `--process=${processFile}`,
    `--internal-pid-file=${pidFile}`,
    ...passed,
    `--exec-fd=${descriptors.length}`,
    sandbox.id,
  ];
  try {
    const [stdin, stdout, stderr, ...more] = descriptors as readonly [Fd, Fd, Fd, ...Fd[]];
    const child = await launchCommand({
      path: sandbox.runsc,
      argv: [sandbox.runsc, ...args],
      env: ENVIRONMENT,
      stdio: [stdin, stdout, stderr, ...more, image],
    });
    const exit = exitOf(child).finally(forget);
    exit.catch(() => undefined);
    await untilStarted(pidFile, exit);
    return { pid: () => pidFrom(pidFile), exit };
  } catch (error) {
    forget();
    throw error;
  }
};

/** A signal to the process group that a program leads, by a program of ours: `runsc kill` refuses a sandbox that was started over the socket. A group that is gone is no error. */
export const signalByCli = async (sandbox: Sandbox, pid: number, signal: number): Promise<void> => {
  const image = sealedProgram(
    'cellwall',
    programOf([
      { call: 'kill', args: [-pid, signal], mayFail: true },
      { call: 'exit_group', args: [0] },
    ]),
  );
  const nothing = openSync('/dev/null', O_RDWR | O_CLOEXEC);
  try {
    const { exit } = await executeByCli(sandbox, { image, capabilities: ['CAP_KILL'], descriptors: [nothing, nothing, nothing], isTerminal: false });
    await exit;
  } finally {
    for (const fd of [image, nothing]) closeSync(fd);
  }
};

const processOf = (capabilities: readonly string[]): object => ({
  user: { uid: 0, gid: 0 },
  args: ['cellwall'],
  env: [],
  cwd: '/',
  noNewPrivileges: true,
  capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [], ambient: [] },
});

// runsc writes it once the program runs; before that there is nothing to signal.
const pidFrom = (file: string): number | null => {
  try {
    return Number(readFileSync(file, 'utf8')) || null;
  } catch {
    return null;
  }
};

/** How often it is looked whether a program runs, in `ms`. */
const LOOK_MS = 5;

// Until there is a pid there is nothing that a signal could reach.
const untilStarted = async (pidFile: string, exit: Promise<Exit>): Promise<void> => {
  const isOver = exit.then(
    () => true,
    () => true,
  );
  while (pidFrom(pidFile) === null && !(await Promise.race([isOver, sleep(LOOK_MS, false)])));
};

const FOREVER = -1;

const exitOf = async (child: Child): Promise<Exit> => {
  await waitForEnd(child, FOREVER);
  const ended = reap(child);
  const code = ended?.code ?? 128 + (ended?.signal ?? 0);
  return code > 128 && code <= 128 + 64 ? { code: null, signal: code - 128 } : { code, signal: null };
};
