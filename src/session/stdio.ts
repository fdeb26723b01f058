/** The three descriptors of a command, as the command gets them and as the server keeps their other ends. */
import { closeSync, openSync } from 'node:fs';
import type { Io } from '../runtime/runtime.ts';
import { duplicate } from '../syscall/files.ts';
import { createPipe, widenPipe, type Pipe } from '../syscall/pipe.ts';
import { createTerminal, resizeTerminal, type WindowSize } from '../syscall/terminal.ts';
import { noInput, pipeInput, terminalInput, type Input } from './input.ts';
import type { Source } from './output.ts';

export interface Stdio {
  readonly io: Io;
  /** what the output is read from; it belongs to whoever takes it */
  readonly sources: { readonly stdout: Source; readonly stderr: Source | null };
  /** the other end of the command's input */
  readonly input: Input;
  resize(size: WindowSize): void;
  /** closes what the command has by now, or will never have */
  release(): void;
}

export interface StdioOptions {
  /** a terminal of this size; null: pipes */
  readonly terminal: WindowSize | null;
  /** whether input may come: without it the command sees the end of file at once */
  readonly hasInput: boolean;
  readonly onSignal: (signal: 'SIGINT' | 'SIGQUIT' | 'SIGTSTP') => void;
}

/** Makes pipes, or a terminal, for one command. */
export const createStdio = (options: StdioOptions): Stdio =>
  options.terminal === null ? pipes(options.hasInput) : terminal(options.terminal, options.onSignal);

/** A pipe as wide as the user's allowance permits lets a command write on while its reader is busy. */
const PIPE_BYTES = 1024 * 1024;

const pipes = (hasInput: boolean): Stdio => {
  const stdin = hasInput ? createPipe() : null;
  const [stdout, stderr] = [outputPipe(), outputPipe()];
  const io = { stdin: stdin?.read ?? openSync('/dev/null', 'r'), stdout: stdout.write, stderr: stderr.write, isTerminal: false };
  return {
    io,
    sources: { stdout: { fd: stdout.read, kind: 'pipe' }, stderr: { fd: stderr.read, kind: 'pipe' } },
    input: stdin === null ? noInput : pipeInput(stdin.write),
    resize: () => {},
    release: () => [io.stdin, io.stdout, io.stderr].forEach((fd) => closeSync(fd)),
  };
};

const outputPipe = (): Pipe => {
  const pipe = createPipe();
  widenPipe(pipe, PIPE_BYTES);
  return pipe;
};

const terminal = (size: WindowSize, onSignal: StdioOptions['onSignal']): Stdio => {
  const { master, slave } = createTerminal(size);
  const keyboard = duplicate(master);
  const input = terminalInput(keyboard, onSignal);
  return {
    io: { stdin: slave, stdout: slave, stderr: slave, isTerminal: true },
    sources: { stdout: { fd: master, kind: 'terminal' }, stderr: null },
    input,
    resize: (next) => resizeTerminal(keyboard, next),
    release: () => closeSync(slave),
  };
};
