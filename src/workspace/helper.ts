/** A lane in a thread of its own: helper-thread.ts is the other side. */
import { Worker } from 'node:worker_threads';
import type { Lane, LaneOptions } from './lane.ts';
import { rethrown, type Thrown } from './thrown.ts';

/** What a helper answers to a chunk; nothing when it is ready for the first. */
export type HelperReply = { readonly words: Uint32Array } | { readonly thrown: Thrown };

/** The thread, which works on one chunk at a time. */
export class Helper {
  readonly ready: Promise<void>;
  readonly lane: Lane;
  readonly #worker: Worker;

  constructor(options: LaneOptions & { readonly stopped: Int32Array }) {
    const worker = new Worker(new URL('./helper-thread.js', import.meta.url), { workerData: options, trackUnmanagedFds: false, stdout: true, stderr: true });
    this.#worker = worker;
    worker.unref();
    let waiting: { resolve: (words: Uint32Array) => void; reject: (error: unknown) => void } | null = null;
    let failure: unknown = null;
    let onReady = (): void => {};
    this.ready = new Promise((resolve) => (onReady = resolve));
    worker.on('message', (reply: HelperReply | null) => {
      if (reply === null) onReady();
      else if ('words' in reply) waiting?.resolve(reply.words);
      else waiting?.reject(rethrown(reply.thrown));
    });
    worker.on('error', (error) => {
      failure = error;
      waiting?.reject(error);
      onReady();
    });
    this.lane = (chunk) =>
      new Promise((resolve, reject) => {
        if (failure !== null) return reject(failure);
        waiting = { resolve, reject };
        worker.postMessage(chunk);
      });
  }

  close(): void {
    void this.#worker.terminate();
  }
}
