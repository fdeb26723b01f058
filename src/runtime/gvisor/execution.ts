/** One program in one sandbox: through the gate over the control socket, or, where that does not hold, through `runsc exec`. */
import { closeSync, openSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SandboxError } from '../../errors.ts';
import { O_CLOEXEC, O_RDWR } from '../../syscall/constants.ts';
import { hasCode } from '../../syscall/call.ts';
import { sealedProgram } from '../../syscall/elf.ts';
import { createPipe } from '../../syscall/pipe.ts';
import { SandboxGone, type Exit, type Io, type ProcessSpec, type Running, type SignalTarget, type StartError } from '../runtime.ts';
import type { Program, Started } from './control.ts';
import { censusProgram, GATE_CAPABILITIES, gateProgram, killProgram, populatedIn } from './gate.ts';
import type { Sandbox } from './sandbox.ts';
import { ConnectionLost, ControlError } from './urpc.ts';
import { executeByCli, signalByCli } from './wayback.ts';

/** How programs get in: over the control socket, or by runsc's own command line where a self-test found the socket to differ. */
export type Channel = 'socket' | 'cli';

/** How many groups of ended execs one gate removes on its way. */
const SWEEP = 8;
/** How many there may be before it is found out which are gone. */
const MOST_STALE = 64;

/** Starts a program. Throws StartError when it cannot be started, SandboxGone when the sandbox does not answer any more. */
export const executeIn = async (sandbox: Sandbox, process: ProcessSpec, io: Io, channel: Channel): Promise<Running> => {
  const group = process.id;
  const gate = gateProgram({ group, stale: nextStale(sandbox), cwd: process.cwd, argv: process.argv, env: process.env });
  if (sandbox.staleGroups.size > MOST_STALE) void backgroundOf(sandbox, channel).catch(() => undefined);
  const report = createPipe();
  const written = buffer(new Socket({ fd: report.read, readable: true, writable: false }));
  const program = { capabilities: GATE_CAPABILITIES, descriptors: [io.stdin, io.stdout, io.stderr, report.write], isTerminal: io.isTerminal };
  const started = await run(sandbox, gate.bytes, program, channel).finally(() => closeSync(report.write));
  let isKilled = false; // whoever kills a group removes it too
  const exit = exitOf(started, written, gate.failureOf).finally(() => isKilled || sandbox.staleGroups.add(group));
  exit.catch(() => undefined);
  // The socket tells at once whether the gate was passed; runsc exec holds the report open until the end, and then tells it by `exit`.
  if (channel === 'socket' && (await written).length > 0) await exit;
  const signal = async (number: number, target: SignalTarget): Promise<void> => {
    const pid = started.pid();
    if (pid !== null) await SIGNAL[channel](sandbox, pid, number, target);
  };
  const endAll = (): Promise<void> => {
    isKilled = true;
    const isOver = exit.then(always, always);
    return killAll(sandbox, group, channel, isOver);
  };
  return { exit, signal, killAll: endAll };
};

// The ones that were tried longest ago. One that is still populated stays; one that is gone is found out by the next census.
const nextStale = ({ staleGroups }: Sandbox): readonly string[] => {
  const stale = [...staleGroups].slice(0, SWEEP);
  for (const group of stale) {
    staleGroups.delete(group);
    staleGroups.add(group);
  }
  return stale;
};

/** Ids of programs that have ended and left something alive. Forgets the groups in which nothing lives. */
export const backgroundOf = async (sandbox: Sandbox, channel: Channel): Promise<readonly string[]> => {
  const asked = [...sandbox.staleGroups];
  if (asked.length === 0) return [];
  const nothing = openSync('/dev/null', O_RDWR | O_CLOEXEC);
  const output = createPipe();
  const said = buffer(new Socket({ fd: output.read, readable: true, writable: false }));
  const program = { capabilities: [], descriptors: [nothing, output.write, nothing], isTerminal: false };
  const { exit } = await run(sandbox, censusProgram(asked), program, channel).finally(() => [nothing, output.write].forEach((fd) => closeSync(fd)));
  await exit;
  const populated = populatedIn(String(await said));
  for (const group of asked) if (!populated.includes(group)) sandbox.staleGroups.delete(group);
  return populated;
};

const exitOf = async (started: Started, report: Promise<Buffer>, failureOf: (written: Buffer) => StartError): Promise<Exit> => {
  const exit = await started.exit.catch(toGone);
  const written = await report;
  if (written.length > 0) throw failureOf(written);
  return exit;
};

type Execute = (sandbox: Sandbox, program: Program) => Promise<Started>;
type Signal = (sandbox: Sandbox, pid: number, signal: number, target: SignalTarget) => Promise<void>;

const EXECUTE: Record<Channel, Execute> = { socket: ({ control }, program) => control.execute(program), cli: executeByCli };
const SIGNAL: Record<Channel, Signal> = { socket: ({ control }, ...rest) => control.signal(...rest), cli: signalByCli };

const run = async (sandbox: Sandbox, bytes: Buffer, program: Omit<Program, 'image'>, channel: Channel): Promise<Started> => {
  const image = sealedProgram('cellwall', bytes);
  try {
    return await EXECUTE[channel](sandbox, { ...program, image });
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

const always = (): true => true;

/** How often, and after which pause in `ms`, a group that is not there is looked for again: the gate may still be on its way to it. */
const LOOKS = 100;
const LOOK_MS = 50;

// Over the socket the gate has been passed when a program counts as started; `runsc exec` does not tell.
const killAll = async (sandbox: Sandbox, group: string, channel: Channel, isOver: Promise<true>): Promise<void> => {
  for (let looks = channel === 'socket' ? 1 : LOOKS; looks > 0; looks--) {
    if (await kills(sandbox, group, channel)) return;
    if (looks > 1 && (await Promise.race([isOver, sleep(LOOK_MS, false)]))) return;
  }
  throw new SandboxError('RUNTIME_FAILED', 'a command could not be ended', { hint: 'destroy the sandbox with sandbox_destroy' });
};

const kills = async (sandbox: Sandbox, group: string, channel: Channel): Promise<boolean> => {
  const nothing = openSync('/dev/null', O_RDWR | O_CLOEXEC);
  try {
    const { exit } = await run(sandbox, killProgram(group), { capabilities: [], descriptors: [nothing, nothing, nothing], isTerminal: false }, channel);
    return (await exit).code === 0;
  } finally {
    closeSync(nothing);
  }
};
