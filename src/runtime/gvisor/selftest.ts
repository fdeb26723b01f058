/**
 * Whether the control socket of this runsc means what we think it means: an internal interface without a promise.
 * Asked of the first sandbox of each runsc, by running a program and killing another; the answer is kept with the identity of the file.
 */
import { closeSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Socket } from 'node:net';
import { z } from 'zod';
import { log } from '../../log.ts';
import { O_CLOEXEC, O_RDONLY, SIGKILL } from '../../syscall/constants.ts';
import { programOf, sealedProgram } from '../../syscall/elf.ts';
import { createPipe } from '../../syscall/pipe.ts';
import type { Control } from './control.ts';
import type { Channel } from './execution.ts';
import type { Sandbox } from './sandbox.ts';

const Kept = z.record(z.string(), z.enum(['socket', 'cli']));

/** The channel to use with this runsc. A self-test that fails is logged and means `cli`. */
export const checkControl = async (sandbox: Sandbox, { runsc, cacheDir }: { readonly runsc: string; readonly cacheDir: string }): Promise<Channel> => {
  const file = join(cacheDir, 'control-socket.json');
  const identity = identityOf(runsc);
  const kept = read(file);
  const known = kept[identity];
  if (known) return known;
  const channel = await test(sandbox);
  keep(file, { ...kept, [identity]: channel });
  return channel;
};

const identityOf = (path: string): string => {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
};

const test = async (sandbox: Sandbox): Promise<Channel> => {
  try {
    await runsAndTells(sandbox);
    await waitsAndSignals(sandbox);
    return 'socket';
  } catch (error) {
    log.warn({ err: error }, 'the control socket of this runsc is not understood: programs are run by `runsc exec`, which is slower');
    return 'cli';
  }
};

const SAYS = 'cellwall';
const CODE = 7;

const runsAndTells = async ({ control }: Sandbox): Promise<void> => {
  const program = programOf([
    { call: 'write', args: [1, SAYS, SAYS.length] },
    { call: 'exit_group', args: [CODE] },
  ]);
  const { exit, stdout } = await runProgram(control, program);
  const [{ code, signal }, said] = await Promise.all([exit, stdout]);
  if (code !== CODE || signal !== null || said !== SAYS)
    throw new Error(`a program that says "${SAYS}" and exits with ${CODE}: exit ${code}, signal ${signal}, said ${JSON.stringify(said)}`);
};

const waitsAndSignals = async ({ control }: Sandbox): Promise<void> => {
  const day = Buffer.alloc(16);
  day.writeBigInt64LE(86_400n);
  const { exit, pid } = await runProgram(control, programOf([{ call: 'nanosleep', args: [day, 0] }]));
  await control.signal(pid() ?? 0, SIGKILL, 'group');
  const { code, signal } = await exit;
  if (code !== null || signal !== SIGKILL) throw new Error(`a program that was killed: exit ${code}, signal ${signal}`);
};

const runProgram = async (control: Control, program: Buffer) => {
  const image = sealedProgram('cellwall', program);
  const stdin = openSync('/dev/null', O_RDONLY | O_CLOEXEC);
  const output = createPipe();
  const stdout = buffer(new Socket({ fd: output.read, readable: true, writable: false })).then(String);
  try {
    return { ...(await control.execute({ image, capabilities: [], descriptors: [stdin, output.write, output.write], isTerminal: false })), stdout };
  } finally {
    for (const fd of [image, stdin, output.write]) closeSync(fd);
  }
};

const read = (file: string): z.infer<typeof Kept> => {
  try {
    return Kept.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {};
  }
};

// What cannot be kept is found out again.
const keep = (file: string, kept: z.infer<typeof Kept>): void => {
  try {
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch (error) {
    log.debug({ err: error }, 'the outcome of the self-test is not kept');
  }
};
