/** The descriptors that a thread has open, in memory that it shares: where it is ended in the middle of its work, another closes them. */
import { closeSync } from 'node:fs';
import type { Fd } from '../../syscall/files.ts';

const MOST_HELD = 16;

/** Memory for descriptors, and a flag that asks to stop. */
export const shareMemory = (): SharedArrayBuffer => new SharedArrayBuffer((1 + MOST_HELD) * Int32Array.BYTES_PER_ELEMENT);

export class Held {
  readonly #shared: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#shared = new Int32Array(memory);
  }

  get isStopped(): boolean {
    return Atomics.load(this.#shared, 0) === 1;
  }

  stop(): void {
    Atomics.store(this.#shared, 0, 1);
  }

  /** Remembers a descriptor, until `close`. */
  hold(fd: Fd): Fd {
    const slot = this.#shared.indexOf(0, 1);
    if (slot < 0) throw new Error('more descriptors are held than there is room for');
    this.#shared[slot] = fd;
    return fd;
  }

  close(fd: Fd): void {
    this.#shared[this.#shared.indexOf(fd, 1)] = 0;
    closeSync(fd);
  }

  /** Closes what a thread that has ended had open. */
  closeAll(): void {
    for (const fd of this.#shared.subarray(1)) if (fd > 0) this.close(fd);
  }
}
