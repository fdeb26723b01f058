/** The output of commands as files, and the server's side of the thread that fills them (drainer.ts). */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createWaker } from '../syscall/epoll.ts';
import type { Fd } from '../syscall/files.ts';
import type { Snapshot, SourceKind } from './spool.ts';

/** What the server asks of the drainer. A source that was added belongs to the drainer. */
export type Request =
  | { readonly kind: 'add'; readonly id: number; readonly source: Fd; readonly sourceKind: SourceKind; readonly path: string }
  | { readonly kind: 'sync'; readonly ticket: number; readonly ids: readonly number[] }
  | { readonly kind: 'follow'; readonly id: number; readonly position: number }
  | { readonly kind: 'forget'; readonly ids: readonly number[] }
  | { readonly kind: 'stop' };

export type StreamState = Snapshot & { /** nobody can write to it any more */ readonly ended: boolean };

export interface Reply {
  readonly ticket: number;
  readonly snapshots: readonly StreamState[];
}

export const STREAMS = ['stdout', 'stderr'] as const;
export type Stream = (typeof STREAMS)[number];
/** Takes the output of a command as it comes; what it returns is waited for. */
export type Take = (stream: Stream, bytes: Buffer) => void | Promise<void>;
export type Streams = Readonly<Record<Stream, StreamState>>;

/** Where a stream comes from: the read end of a pipe, or a terminal's master. */
export interface Source {
  readonly fd: Fd;
  readonly kind: SourceKind;
}

/** The output of one command. */
export interface Output {
  /** what has been written up to now, all that the pipes hold included; each stream's descriptor is the caller's to close */
  sync(): Promise<Streams>;
  /** says how far a follower has read a stream: from now on the command waits for it when it is far behind; Infinity: it waits for nobody */
  follow(stream: Stream, position: number): void;
  /** stops reading; files stay */
  forget(): void;
}

export interface Outputs {
  /** Makes `stdout` and `stderr` in `directory`, a new one, which are filled from their sources from now on; a stream without one is empty. */
  open(directory: string, sources: { readonly stdout: Source; readonly stderr: Source | null }): Output;
  close(): Promise<void>;
}

const NO_SOURCE = -1;

/** Starts the drainer's thread; one a server. */
export const createOutputs = (): Outputs => {
  const drainer = startDrainer();
  let last = 0;
  return {
    open: (directory, sources) => {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      const ids = STREAMS.map((stream) => {
        const { fd, kind } = sources[stream] ?? { fd: NO_SOURCE, kind: 'none' };
        drainer.send({ kind: 'add', id: (last += 1), source: fd, sourceKind: kind, path: join(directory, stream) });
        return last;
      });
      return {
        sync: async () => {
          const [stdout, stderr] = await drainer.sync(ids);
          return { stdout: stdout!, stderr: stderr! };
        },
        follow: (stream, position) => drainer.send({ kind: 'follow', id: ids[STREAMS.indexOf(stream)]!, position }),
        forget: () => drainer.send({ kind: 'forget', ids }),
      };
    },
    close: () => drainer.stop(),
  };
};

const startDrainer = () => {
  const { fd, wake } = createWaker();
  // With streams of its own, which nobody reads: the thread prints nothing, and process.stdout is not touched for it.
  const worker = new Worker(new URL('./drainer.js', import.meta.url), { workerData: { wake: fd }, trackUnmanagedFds: false, stdout: true, stderr: true });
  const waiting = new Map<number, { resolve: (snapshots: readonly StreamState[]) => void; reject: (error: Error) => void }>();
  let last = 0;
  let failure: Error | undefined;
  worker.unref();
  worker.on('message', ({ ticket, snapshots }: Reply) => {
    waiting.get(ticket)?.resolve(snapshots);
    waiting.delete(ticket);
  });
  // Without the drainer no command can be run: the next one says so.
  worker.on('error', (error: Error) => {
    failure = error;
    for (const { reject } of waiting.values()) reject(error);
  });
  const send = (request: Request): void => {
    if (failure) throw failure;
    worker.postMessage(request);
    wake();
  };
  // However this process exits, it waits for the thread, which waits in the kernel where nothing but this reaches it.
  const stopAtExit = (): void => void (failure ?? send({ kind: 'stop' }));
  process.once('exit', stopAtExit);
  return {
    send,
    sync: (ids: readonly number[]) =>
      new Promise<readonly StreamState[]>((resolve, reject) => {
        const ticket = (last += 1);
        waiting.set(ticket, { resolve, reject });
        send({ kind: 'sync', ticket, ids });
      }),
    stop: async (): Promise<void> => {
      if (failure) return;
      process.off('exit', stopAtExit);
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.ref(); // nothing else may keep the process alive until the thread has ended
      send({ kind: 'stop' });
      await ended;
    },
  };
};
