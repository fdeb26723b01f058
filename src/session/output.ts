/** The output of commands as files, and the server's side of the thread that fills them (drainer.ts). */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createWaker } from '../syscall/epoll.ts';
import type { Fd } from '../syscall/files.ts';
import { createPipe, widenPipe } from '../syscall/pipe.ts';
import type { Snapshot } from './spool.ts';

/** What the server asks of the drainer. A pipe that was added belongs to the drainer. */
export type Request =
  | { readonly kind: 'add'; readonly id: number; readonly pipe: Fd; readonly path: string }
  | { readonly kind: 'sync'; readonly ticket: number; readonly ids: readonly number[] }
  | { readonly kind: 'forget'; readonly ids: readonly number[] }
  | { readonly kind: 'stop' };

export interface Reply {
  readonly ticket: number;
  readonly snapshots: readonly Snapshot[];
}

/** The output of one command. */
export interface Output {
  /** write ends for the command; the server closes its own once the command has them */
  readonly stdout: Fd;
  readonly stderr: Fd;
  /** what has been written up to now, all that the pipes hold included; each snapshot's descriptor is the caller's to close */
  sync(): Promise<{ readonly stdout: Snapshot; readonly stderr: Snapshot }>;
  /** stops reading; files stay */
  forget(): void;
}

export interface Outputs {
  /** Makes `stdout` and `stderr` in `directory` and two pipes that are emptied into them from now on. */
  open(directory: string): Output;
  close(): Promise<void>;
}

/** A pipe as wide as the user's allowance permits lets a command write on while the drainer is busy. */
const PIPE_BYTES = 1024 * 1024;

/** Starts the drainer's thread; one a server. */
export const createOutputs = (): Outputs => {
  const { fd, wake } = createWaker();
  const worker = new Worker(new URL('./drainer.js', import.meta.url), { workerData: { wake: fd }, trackUnmanagedFds: false });
  const waiting = new Map<number, { resolve: (snapshots: readonly Snapshot[]) => void; reject: (error: Error) => void }>();
  let last = 0;
  let failure: Error | undefined;
  const ask = (request: Request): void => {
    if (failure) throw failure;
    worker.postMessage(request);
    wake();
  };
  worker.on('message', ({ ticket, snapshots }: Reply) => {
    waiting.get(ticket)?.resolve(snapshots);
    waiting.delete(ticket);
  });
  // Without the drainer no command can be run: the next one says so.
  worker.on('error', (error: Error) => {
    failure = error;
    for (const { reject } of waiting.values()) reject(error);
  });
  worker.unref();

  const openStream = (path: string): { id: number; write: Fd } => {
    const pipe = createPipe();
    widenPipe(pipe, PIPE_BYTES);
    ask({ kind: 'add', id: (last += 1), pipe: pipe.read, path });
    return { id: last, write: pipe.write };
  };

  return {
    open: (directory) => {
      mkdirSync(directory, { mode: 0o755 });
      const stdout = openStream(join(directory, 'stdout'));
      const stderr = openStream(join(directory, 'stderr'));
      const ids = [stdout.id, stderr.id];
      return {
        stdout: stdout.write,
        stderr: stderr.write,
        sync: async () => {
          const ticket = (last += 1);
          const reply = new Promise<readonly Snapshot[]>((resolve, reject) => waiting.set(ticket, { resolve, reject }));
          ask({ kind: 'sync', ticket, ids });
          const [out, err] = await reply;
          return { stdout: out!, stderr: err! };
        },
        forget: () => ask({ kind: 'forget', ids }),
      };
    },
    close: async () => {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      if (failure) return;
      worker.ref(); // nothing else may keep the process alive until the thread has ended
      ask({ kind: 'stop' });
      await ended;
    },
  };
};
