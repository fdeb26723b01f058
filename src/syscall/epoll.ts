/** Waiting for many descriptors at once, and waking the one that waits.   man 7 epoll, man 2 eventfd */
import { writeSync } from 'node:fs';
import { call } from './call.ts';
import { EFD_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, O_CLOEXEC } from './constants.ts';
import type { Fd } from './files.ts';

/** struct epoll_event is packed on x86-64 only: 32 bits of events, then 64 of data. */
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
const EVENT_SIZE = DATA_OFFSET + 8;
const MOST_EVENTS = 64;

export class Poll {
  readonly #epoll = call('epoll_create1', O_CLOEXEC);
  readonly #events = Buffer.alloc(EVENT_SIZE * MOST_EVENTS);

  /** Reports a descriptor from now on whenever it can be read or has come to its end. */
  add(fd: Fd): void {
    const event = Buffer.alloc(EVENT_SIZE);
    event.writeUInt32LE(EPOLLIN, 0);
    event.writeInt32LE(fd, DATA_OFFSET);
    call('epoll_ctl', this.#epoll, EPOLL_CTL_ADD, fd, event);
  }

  remove(fd: Fd): void {
    call('epoll_ctl', this.#epoll, EPOLL_CTL_DEL, fd, null);
  }

  /** Blocks this thread until something can be read, at most `timeoutMs` (-1: for ever), and tells what. */
  wait(timeoutMs: number): readonly Fd[] {
    const count = call('epoll_wait', this.#epoll, this.#events, MOST_EVENTS, timeoutMs);
    return Array.from({ length: count }, (_, index) => this.#events.readInt32LE(index * EVENT_SIZE + DATA_OFFSET));
  }
}

/** A descriptor that another thread waits for; `wake` makes it readable. */
export const createWaker = (): { fd: Fd; wake(): void } => {
  const fd = call('eventfd', 0, EFD_CLOEXEC);
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  return { fd, wake: () => void writeSync(fd, one) };
};
