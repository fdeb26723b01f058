import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { programOf, reportingProgram, sealedProgram } from '../../src/syscall/elf.ts';
import { pathOf, withFd } from '../../src/syscall/files.ts';
import type { Arch } from '../../src/syscall/numbers.ts';
import type { Step } from '../../src/syscall/table.ts';
import { itWith } from '../requirements.ts';

/** What runs a program for an architecture here: nothing for this machine's own. */
const EMULATORS: Readonly<Record<Arch, readonly string[]>> = {
  x64: process.arch === 'x64' ? [] : ['qemu-x86_64'],
  arm64: process.arch === 'arm64' ? [] : ['qemu-aarch64'],
};

const [AT_FDCWD, O_WRONLY, O_CREAT] = [-100, 1, 0o100];
const exit = (code: number): Step => ({ call: 'exit_group', args: [code] });
const write = (text: string): Step => ({ call: 'write', args: [1, text, Buffer.byteLength(text)] });
const impossible: Step = { call: 'chdir', args: ['/there/is/no/such/place'] };

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-elf-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

for (const arch of ['x64', 'arm64'] as const) {
  const emulator = EMULATORS[arch];
  const program = (steps: readonly Step[]): readonly string[] => [...emulator, save(programOf(steps, { arch }))];
  const run = (steps: readonly Step[]): { code: number | null; out: string } => {
    const [command = '', ...args] = program(steps);
    const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
    return { code: status, out: stdout };
  };
  const claim = (title: string, test: () => void): void => itWith(emulator, `${arch}: ${title}`, test);

  claim('a program makes its steps in order and exits with 0', () => {
    expect(run([write('one '), write('two')])).toEqual({ code: 0, out: 'one two' });
    expect(run([])).toEqual({ code: 0, out: '' });
  });

  claim('a step that ends the process decides about its exit code', () => {
    expect(run([write('one'), exit(42), write('two')])).toEqual({ code: 42, out: 'one' });
  });

  claim('a step that fails ends the program with 127, unless it may', () => {
    expect(run([impossible, write('after')])).toEqual({ code: 127, out: '' });
    expect(run([{ ...impossible, mayFail: true }, write('after')])).toEqual({ code: 0, out: 'after' });
  });

  claim('a last step ends the program well when it succeeds, and is passed over when it fails and may', () => {
    expect(run([{ ...write('one'), last: true }, exit(9)])).toEqual({ code: 0, out: 'one' });
    expect(run([{ ...impossible, last: true, mayFail: true }, exit(9)])).toEqual({ code: 9, out: '' });
    expect(run([{ ...impossible, last: true }, exit(9)])).toEqual({ code: 127, out: '' });
  });

  claim('the result of a step is an argument of a later one', () => {
    const file = join(directory, `forwarded-${arch}`);
    const open: Step = { call: 'openat', args: [AT_FDCWD, file, O_WRONLY | O_CREAT, 0o600] };
    expect(run([open, write('between'), { call: 'write', args: [{ resultOf: open }, 'text', 4] }])).toEqual({ code: 0, out: 'between' });
    expect(readFileSync(file, 'utf8')).toBe('text');
  });

  claim('memory that two steps share carries what one reads to what the other writes', () => {
    const shared = Buffer.alloc(5);
    const [command = '', ...args] = program([
      { call: 'read', args: [0, shared, 5] },
      { call: 'write', args: [1, shared, 5] },
    ]);
    expect(spawnSync(command, args, { input: 'hello', encoding: 'utf8' }).stdout).toBe('hello');
  });

  claim('a program starts another with arguments and environment', () => {
    expect(run([{ call: 'execve', args: ['/bin/sh', ['sh', '-c', 'echo "$1 $A"', 'sh', 'x y'], ['A=é b']] }])).toEqual({ code: 0, out: 'x y é b\n' });
  });

  claim('a failure is told to a descriptor, by step and errno', () => {
    const { bytes, failureOf } = reportingProgram([write('first'), impossible], { arch, report: 2 });
    const [command, ...args] = [...emulator, save(bytes)] as const;
    const { status, stderr, stdout } = spawnSync(command, args);
    expect([status, stdout.toString(), stderr.length]).toEqual([127, 'first', 16]);
    expect(failureOf(stderr)).toEqual({ step: impossible, errno: 'ENOENT' });
  });

  itWith(['python3', ...emulator], `${arch}: a step that a signal interrupts is made again where it says so, else it fails`, () => {
    const fixture = new URL('../fixtures/interrupt.py', import.meta.url).pathname;
    const interrupted = (step: Step): string => execFileSync('python3', [fixture, ...program([step, exit(3)])], { encoding: 'utf8' }).trim();
    const read: Step = { call: 'read', args: [0, Buffer.alloc(1), 1] };
    expect(interrupted(read)).toBe('127');
    expect(interrupted({ ...read, restart: true })).toBe('3');
  });
}

it('the same steps are the same program', () => {
  const bytes = (): Buffer => programOf([write('x'), exit(1)], { arch: 'arm64' });
  expect(bytes()).toEqual(bytes());
});

it('a sealed program runs, and nobody can change it any more', () => {
  withFd(sealedProgram('test', programOf([exit(7)])), (fd) => {
    expect(spawnSync(`/proc/${process.pid}/fd/${fd}`, []).status).toBe(7);
    expect(() => writeFileSync(pathOf(fd), 'x')).toThrow(/EPERM|ETXTBSY/);
  });
});

let saved = 0;
const save = (bytes: Buffer): string => {
  const path = join(directory, `program-${(saved += 1)}`);
  writeFileSync(path, bytes, { mode: 0o755 });
  return path;
};
