/** How long work on many files may keep the event loop to itself, and where it notices that its result is no longer wanted. */
import { setImmediate } from 'node:timers/promises';
import { SandboxError } from '../errors.ts';

/** longest slice of work between two turns of the event loop, in `ms` */
const SLICE_MS = 3;

export class Pace {
  readonly #signal: Pick<AbortSignal, 'aborted'>;
  #since = performance.now();

  constructor(signal: Pick<AbortSignal, 'aborted'>) {
    this.#signal = signal;
  }

  /** Whether it is time for `rest`: asked after each small piece of work. */
  due(): boolean {
    return performance.now() - this.#since > SLICE_MS;
  }

  /** Lets others have the event loop. Throws CANCELED when the signal was given. */
  async rest(): Promise<void> {
    await setImmediate();
    this.check();
    this.#since = performance.now();
  }

  /** Throws CANCELED when the signal was given. */
  check(): void {
    if (this.#signal.aborted) throw new SandboxError('CANCELED', 'copying the context was canceled');
  }
}
