/** One program in one sandbox: through the gate over the control socket, or, where that does not hold, through `runsc exec`. */
import { closeSync, openSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Socket } from 'node:net';
import { SandboxError } from '../../errors.ts';
import { O_CLOEXEC, O_RDWR } from '../../syscall/constants.ts';
import { hasCode } from '../../syscall/call.ts';
import { sealedProgram } from '../../syscall/elf.ts';
import type { Fd } from '../../syscall/files.ts';
import { createPipe } from '../../syscall/pipe.ts';
import { SandboxGone, StartError, type Exit, type Io, type ProcessSpec, type Running } from '../runtime.ts';
import { execute, signalInside, type Started } from './control.ts';
import { GATE_CAPABILITIES, gateProgram, killProgram } from './gate.ts';
import type { Sandbox } from './sandbox.ts';
import { ConnectionLost, ControlError } from './urpc.ts';
import { executeByCli, signalByCli } from './wayback.ts';

/** How programs get in: over the control socket, or by runsc's own command line where a self-test found the socket to differ. */
export type Channel = 'socket' | 'cli';

/** How many groups of ended execs one gate removes on its way. */
const SWEEP = 8;

/** Starts a program. Throws StartError when it cannot be started, SandboxGone when the sandbox does not answer any more. */
export const executeIn = async (sandbox: Sandbox, process: ProcessSpec, io: Io, channel: Channel): Promise<Running> => {
  const group = process.id;
  const gate = gateProgram({ group, stale: sandbox.staleGroups.splice(0, SWEEP), cwd: process.cwd, argv: process.argv, env: process.env });
  const report = createPipe();
  const written = buffer(new Socket({ fd: report.read, readable: true, writable: false }));
  const started = await run(sandbox, gate.bytes, GATE_CAPABILITIES, [io.stdin, io.stdout, io.stderr, report.write], channel).finally(() =>
    closeSync(report.write),
  );
  let isKilled = false; // whoever kills a group removes it too
  const exit = exitOf(started, written, gate.failureOf).finally(() => isKilled || sandbox.staleGroups.push(group));
  exit.catch(() => undefined);
  // The socket tells at once whether the gate was passed; runsc exec holds the report open until the end, and then tells it by `exit`.
  if (channel === 'socket' && (await written).length > 0) await exit;
  const signal = async (number: number): Promise<void> => {
    const pid = started.pid();
    if (pid !== null) await SIGNAL[channel](sandbox, pid, number);
  };
  const endAll = (): Promise<void> => {
    isKilled = true;
    return killAll(sandbox, group, channel);
  };
  return { exit, signal, killAll: endAll };
};

const exitOf = async (started: Started, report: Promise<Buffer>, failureOf: (written: Buffer) => string): Promise<Exit> => {
  const exit = await started.exit.catch(toGone);
  const written = await report;
  if (written.length > 0) throw new StartError(failureOf(written));
  return exit;
};

type Execute = (sandbox: Sandbox, image: Fd, capabilities: readonly string[], io: readonly Fd[]) => Promise<Started>;
type Signal = (sandbox: Sandbox, pid: number, signal: number) => Promise<void>;

const EXECUTE: Record<Channel, Execute> = { socket: ({ socket, id }, ...rest) => execute(socket, id, ...rest), cli: executeByCli };
const SIGNAL: Record<Channel, Signal> = { socket: ({ socket, id }, ...rest) => signalInside(socket, id, ...rest), cli: signalByCli };

const run = async (sandbox: Sandbox, program: Buffer, capabilities: readonly string[], io: readonly Fd[], channel: Channel): Promise<Started> => {
  const image = sealedProgram('cellwall', program);
  try {
    return await EXECUTE[channel](sandbox, image, capabilities, io);
  } catch (error) {
    return toGone(error);
  } finally {
    closeSync(image);
  }
};

const GONE = ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE'];

const toGone = (error: unknown): never => {
  const gone = error instanceof ConnectionLost || error instanceof ControlError || hasCode(error, ...GONE);
  throw gone ? new SandboxGone('the sandbox does not run programs any more', { cause: error }) : error;
};

const killAll = async (sandbox: Sandbox, group: string, channel: Channel): Promise<void> => {
  const nothing = openSync('/dev/null', O_RDWR | O_CLOEXEC);
  try {
    const { exit } = await run(sandbox, killProgram(group), [], [nothing, nothing, nothing], channel);
    const { code } = await exit;
    if (code !== 0) throw new SandboxError('RUNTIME_FAILED', 'a command could not be ended', { hint: 'destroy the sandbox with sandbox_destroy' });
  } finally {
    closeSync(nothing);
  }
};
