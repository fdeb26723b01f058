/** The server's side of the threads that search (seeker.ts): they are started when there is something to do and end when there has been nothing for a while. */
import { Worker } from 'node:worker_threads';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import type { SearchResult } from './found.ts';
import { Held, shareMemory } from './held.ts';
import type { SearchJob } from './searchtree.ts';
import { rethrown, type Thrown } from '../thrown.ts';

export interface Request {
  readonly job: SearchJob;
  /** of a Held: the descriptors that the thread has open, and the flag that asks it to stop */
  readonly memory: SharedArrayBuffer;
}

/** What the thread says of a job. */
export type Answer = { readonly result: SearchResult } | { readonly thrown: Thrown } | { readonly stopped: true };

/** searches at a time; others wait for their turn */
const MOST_BUSY = 2;
/** how long a thread without work is kept, in `ms` */
const IDLE_MS = 10_000;
/** what a thread may take to stop where it is asked to, in `ms`; then it is ended by force */
const GRACE_MS = 500;
/** memory of a thread for its objects, in `MiB` */
const HEAP_MB = 256;

const idle = new Map<Worker, NodeJS.Timeout>();
const waiting = new Set<() => void>();
/** searches that are made and those that wait */
let busy = 0;

/**
 * Makes a search in a thread. When this settles, the thread uses no descriptor of the job any more, however the search has ended.
 * Throws what searchTree throws, TIMED_OUT after `deadlineMs`, and the reason of the signal.
 */
export const seek = async (job: SearchJob, deadlineMs: number, signal: AbortSignal): Promise<SearchResult> => {
  await takeTurn(signal);
  try {
    signal.throwIfAborted(); // it may have been aborted as its turn came
    const answer = await ask(job, deadlineMs, signal);
    signal.throwIfAborted();
    if ('result' in answer) return answer.result;
    if ('thrown' in answer) throw rethrown(answer.thrown);
    if ('failure' in answer)
      throw hasCode(answer.failure, 'ERR_WORKER_OUT_OF_MEMORY') ? new SandboxError('LIMIT_EXCEEDED', TOO_MUCH, { hint: HINT }) : answer.failure;
    throw new SandboxError('TIMED_OUT', `the search was not done after ${deadlineMs / 1000} s`, { hint: HINT });
  } finally {
    passTurn();
  }
};

const TOO_MUCH = 'the search needs more memory than it may have';
const HINT = 'search less at once: name a directory with `path`, or files with `glob`';

const takeTurn = async (signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted();
  if (busy++ < MOST_BUSY) return;
  await new Promise<void>((resolve, reject) => {
    const begin = (): void => {
      waiting.delete(begin);
      signal.removeEventListener('abort', leave);
      resolve();
    };
    const leave = (): void => {
      waiting.delete(begin);
      busy--;
      reject(signal.reason as Error);
    };
    waiting.add(begin);
    signal.addEventListener('abort', leave, { once: true });
  });
};

const passTurn = (): void => {
  busy--;
  for (const next of waiting) return next();
};

/** What it says, or why it has ended instead. */
type Outcome = Answer | { readonly failure: Error };

const ask = async (job: SearchJob, deadlineMs: number, signal: AbortSignal): Promise<Outcome> => {
  const worker = takeWorker();
  const memory = shareMemory();
  const held = new Held(memory);
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    held.stop();
    grace ??= setTimeout(() => void worker.terminate(), GRACE_MS);
  };
  const deadline = setTimeout(stop, deadlineMs);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const answered = answerOf(worker, held);
    worker.postMessage({ job, memory } satisfies Request);
    return await answered;
  } finally {
    clearTimeout(deadline);
    clearTimeout(grace);
    signal.removeEventListener('abort', stop);
    // A thread that was asked to stop may be about to be ended by force: it gets no other work.
    if (grace === undefined) putAside(worker);
    else await worker.terminate();
    held.closeAll();
  }
};

// What it answers; where it ends instead, why.
const answerOf = (worker: Worker, held: Held): Promise<Outcome> =>
  new Promise((resolve) => {
    let failure = new Error('the thread that searches has ended');
    const onError = (error: Error): void => void (failure = error);
    const settle = (answer: Outcome): void => {
      worker.off('message', settle).off('error', onError).off('exit', onExit);
      resolve(answer);
    };
    const onExit = (): void => settle(held.isStopped ? { stopped: true } : { failure });
    worker.on('message', settle).on('error', onError).on('exit', onExit);
  });

const takeWorker = (): Worker => {
  for (const [worker, timer] of idle) {
    clearTimeout(timer);
    idle.delete(worker);
    return worker;
  }
  // With streams of its own, which nobody reads: the thread prints nothing, and process.stdout is not touched for it.
  const options = { trackUnmanagedFds: false, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB }, stdout: true, stderr: true };
  const worker = new Worker(new URL('./seeker.js', import.meta.url), options);
  worker.unref();
  worker.on('error', () => {}); // who waits for it is told
  worker.once('exit', () => idle.delete(worker));
  return worker;
};

const putAside = (worker: Worker): void => {
  if (worker.threadId < 0) return; // it has ended
  const end = (): void => {
    idle.delete(worker); // at once: the end takes a while
    void worker.terminate();
  };
  idle.set(worker, setTimeout(end, IDLE_MS).unref());
};
