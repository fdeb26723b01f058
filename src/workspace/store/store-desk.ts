/** Where the main thread asks for the store's errands: it waits, and does nothing of them itself. */
import { Worker } from 'node:worker_threads';
import { SandboxError } from '../../errors.ts';
import type { Progress } from '../context/lanes.ts';
import type { Errands } from './store-errands.ts';
import { rethrown, type Thrown } from '../thrown.ts';

export type Kind = keyof Errands;

/** What goes to the thread: an errand, or that nobody waits for it any more. */
export type Ask = { readonly ticket: number } & ({ readonly kind: Kind; readonly request: Parameters<Errands[Kind]>[0] } | { readonly kind: 'cancel' });

/** What comes back: words about the progress, and one end. */
export interface Reply {
  readonly ticket: number;
  readonly progress?: Progress;
  readonly result?: unknown;
  readonly thrown?: Thrown;
}

/**
 * Has an errand done in the thread, which waits a while for the next one: it takes some 20 MB. Settles only when nothing is done for it any more, also when it is canceled.
 * Run from TypeScript there is no file that a thread could load: then it is done here.
 */
export const askFor = async <K extends Kind>(
  kind: K,
  request: Parameters<Errands[K]>[0],
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<Awaited<ReturnType<Errands[K]>>> => {
  if (signal.aborted) throw new SandboxError('CANCELED', 'copying the context was canceled');
  if (import.meta.url.endsWith('.js')) return (await (thread ??= startThread()).ask(kind, request, signal, onProgress)) as Awaited<ReturnType<Errands[K]>>;
  const { perform } = await import('./store-errands.ts');
  return await perform(kind, request, signal, onProgress);
};

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

interface Thread {
  ask(kind: Kind, request: Parameters<Errands[Kind]>[0], signal: AbortSignal, onProgress?: (progress: Progress) => void): Promise<unknown>;
}

let thread: Thread | undefined;

/** how long the thread waits for the next errand, in `ms` */
const IDLE_MS = 5000;

/** room for what the thread makes and drops, in `MiB`: with as much as Node gives by itself the process stays larger when the thread is gone */
const YOUNG_MB = 8;

const startThread = (): Thread => {
  // With streams of its own, which nobody reads: the thread prints nothing. The descriptors that it opens go to others.
  const options = { trackUnmanagedFds: false, stdout: true, stderr: true, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } };
  const worker = new Worker(new URL('./store-thread.js', import.meta.url), options);
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let resting: NodeJS.Timeout | undefined;
  worker.unref();
  const forget = (): void => {
    if (thread === self) thread = undefined;
  };
  const rest = (): void => {
    worker.unref();
    resting = setTimeout(() => {
      forget();
      void worker.terminate();
    }, IDLE_MS).unref();
  };
  const settle = (ticket: number): Waiting | undefined => {
    const one = waiting.get(ticket);
    waiting.delete(ticket);
    if (waiting.size === 0) rest();
    return one;
  };
  worker.on('message', ({ ticket, progress, result, thrown }: Reply) => {
    if (progress !== undefined) waiting.get(ticket)?.onProgress?.(progress);
    else if (thrown === undefined) settle(ticket)?.resolve(result);
    else settle(ticket)?.reject(rethrown(thrown));
  });
  const fail = (error: Error): void => {
    forget();
    for (const ticket of waiting.keys()) settle(ticket)?.reject(error);
  };
  worker.on('error', fail);
  worker.on('exit', () => fail(new SandboxError('INTERNAL', 'the thread that copies contexts has ended')));
  const self: Thread = {
    ask: (kind, request, signal, onProgress) =>
      new Promise((resolve, reject) => {
        const ticket = (last += 1);
        const cancel = (): void => worker.postMessage({ ticket, kind: 'cancel' } satisfies Ask);
        const over = (): void => signal.removeEventListener('abort', cancel);
        waiting.set(ticket, { resolve: (result) => (over(), resolve(result)), reject: (error) => (over(), reject(error)), onProgress });
        clearTimeout(resting);
        worker.ref(); // what was asked for is done before the process ends by itself
        worker.postMessage({ ticket, kind, request } satisfies Ask);
        signal.addEventListener('abort', cancel);
      }),
  };
  return self;
};
