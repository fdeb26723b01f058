/** A command on its caller's own streams: what comes is handed on as it is, whichever bytes they are, and each side waits for the other. */
import { log } from '../log.ts';
import type { Fd } from '../syscall/files.ts';
import { makeRaw } from '../syscall/terminal.ts';
import type { Exec } from './exec.ts';
import type { Take } from './output.ts';
import type { ExecInput } from './requests.ts';

export type AttachInput = Pick<ExecInput, 'argv' | 'command' | 'cwd' | 'env' | 'timeout_ms' | 'tty' | 'rows' | 'cols'>;

/** The caller's side. */
export interface Attachment {
  /** what the command gets as its input, read as fast as the command reads; its end is the end of file. It never fails */
  readonly stdin: AsyncIterable<Buffer>;
  /** takes the output; where it throws, the command is ended */
  readonly take: Take;
  /** the caller's own terminal, which is raw as long as the command runs; null: none */
  readonly keyboard: Fd | null;
  /** told once the command runs, by which id `wait` reaches it */
  readonly onStarted: (execId: string) => void;
}

/** Resolves when the command has ended and its output was handed on. A cancellation ends it; what `take` throws does too, and is thrown when it has ended. */
export const attach = async (exec: Exec, { stdin, take, keyboard, onStarted }: Attachment, signal: AbortSignal): Promise<void> => {
  const cancel = (): void => void exec.kill('canceled');
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  const restore = keyboard === null ? (): void => {} : makeRaw(keyboard);
  try {
    onStarted(exec.id);
    // Nobody waits for it: a caller who types nothing more does not keep a command that has ended.
    feed(exec, stdin).catch((error: unknown) => log.error({ err: error, exec_id: exec.id }, 'the input of a command has failed'));
    await exec.follow(orEnd(exec, take), new AbortController().signal);
  } finally {
    restore();
    signal.removeEventListener('abort', cancel);
  }
};

const orEnd =
  (exec: Exec, take: Take): Take =>
  async (stream, bytes) => {
    try {
      await take(stream, bytes);
    } catch (error) {
      await exec.kill('canceled');
      throw error;
    }
  };

const feed = async (exec: Exec, stdin: AsyncIterable<Buffer>): Promise<void> => {
  for await (const bytes of stdin) if (!(await exec.feed(bytes))) return;
  exec.closeInput();
};
