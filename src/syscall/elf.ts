/** A table of system calls as a program of its own: the launch code behind an ELF header, static, without libc.   man 5 elf */
import { closeSync, openSync, writeSync } from 'node:fs';
import { call, errnoName } from './call.ts';
import { F_ADD_SEALS, F_SEAL_ALL, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC } from './constants.ts';
import { pathOf, type Fd } from './files.ts';
import type { Arch } from './numbers.ts';
import { PROGRAM_BLOCK, STUBS } from './stub.ts';
import { encodeTables, type Step } from './table.ts';

/** The bytes of a program that walks `steps` and exits with 0, or with 127 when one failed that may not. Deterministic. */
export const programOf = (steps: readonly Step[], options: ProgramOptions = {}): Buffer => reportingProgram(steps, options).bytes;

export interface ProgramOptions {
  /** left out: this machine's */
  readonly arch?: Arch;
  /** descriptor that a failure is written to; left out: none */
  readonly report?: number;
}

/** The same with a reader of its reports: from the 16 bytes that it wrote to the step that failed and the errno. */
export const reportingProgram = (
  steps: readonly Step[],
  { arch = process.arch as Arch, report = -1 }: ProgramOptions,
): { bytes: Buffer; failureOf(written: Buffer): StepFailure } => {
  const encoded = encodeTables({ child: steps, report }, PROGRAM_BLOCK, arch);
  const failureOf = (written: Buffer): StepFailure => ({
    step: encoded.stepAt(written.readBigUInt64LE(0)),
    errno: errnoName(-Number(written.readBigInt64LE(8))),
  });
  return { bytes: elfOf(encoded.bytes, arch), failureOf };
};

export interface StepFailure {
  readonly step: Step | undefined;
  /** symbolic name */
  readonly errno: string;
}

const elfOf = (data: Buffer, arch: Arch): Buffer => {
  const { code, programEntry } = STUBS[arch];
  const codeOffset = HEADER_SIZE + 2 * PROGRAM_HEADER_SIZE;
  const dataOffset = Math.ceil((codeOffset + code.length) / PAGE[arch]) * PAGE[arch];
  const bytes = Buffer.alloc(dataOffset + data.length);
  header(arch, CODE_ADDRESS + BigInt(codeOffset + programEntry)).copy(bytes);
  segment(arch, PF_R | PF_X, 0, CODE_ADDRESS, codeOffset + code.length).copy(bytes, HEADER_SIZE);
  segment(arch, PF_R | PF_W, dataOffset, PROGRAM_BLOCK, data.length).copy(bytes, HEADER_SIZE + PROGRAM_HEADER_SIZE);
  code.copy(bytes, codeOffset);
  data.copy(bytes, dataOffset);
  return bytes;
};

/** A program in memory that nobody can change any more, to be run by execveat.   man 2 memfd_create (MFD_EXEC: Linux 6.3) */
export const sealedProgram = (name: string, bytes: Buffer): Fd => {
  const fd = createMemfd(name);
  writeSync(fd, bytes);
  call('fcntl', fd, F_ADD_SEALS, F_SEAL_ALL);
  const program = openSync(pathOf(fd), 'r'); // what is open for writing cannot be run (ETXTBSY), and gVisor takes read-only descriptors only
  closeSync(fd);
  return program;
};

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
/** the largest page a kernel of the architecture may use */
const PAGE: Readonly<Record<Arch, number>> = { x64: 0x1000, arm64: 0x10000 };
const CODE_ADDRESS = 0x400000n;
const MACHINES: Readonly<Record<Arch, number>> = { x64: 62, arm64: 183 };
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;

const header = (arch: Arch, entry: bigint): Buffer => {
  const bytes = Buffer.alloc(HEADER_SIZE);
  Buffer.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1).copy(bytes); // ELF, 64 bit, little endian, version 1
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(MACHINES[arch], 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(entry, 24);
  bytes.writeBigUInt64LE(BigInt(HEADER_SIZE), 32);
  bytes.writeUInt16LE(HEADER_SIZE, 52);
  bytes.writeUInt16LE(PROGRAM_HEADER_SIZE, 54);
  bytes.writeUInt16LE(2, 56);
  return bytes;
};

const segment = (arch: Arch, flags: number, offset: number, address: bigint, size: number): Buffer => {
  const bytes = Buffer.alloc(PROGRAM_HEADER_SIZE);
  bytes.writeUInt32LE(1, 0); // PT_LOAD
  bytes.writeUInt32LE(flags, 4);
  bytes.writeBigUInt64LE(BigInt(offset), 8);
  bytes.writeBigUInt64LE(address, 16);
  bytes.writeBigUInt64LE(address, 24);
  bytes.writeBigUInt64LE(BigInt(size), 32);
  bytes.writeBigUInt64LE(BigInt(size), 40);
  bytes.writeBigUInt64LE(BigInt(PAGE[arch]), 48);
  return bytes;
};

// A kernel before 6.3 knows no MFD_EXEC (EINVAL) and makes every memfd executable.
const createMemfd = (name: string): Fd => {
  try {
    return call('memfd_create', name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  } catch {
    return call('memfd_create', name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
};
