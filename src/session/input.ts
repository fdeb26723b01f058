/** Standard input of a command: nothing, a pipe, or a terminal's keyboard. */
import { closeSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../syscall/call.ts';
import type { Fd } from '../syscall/files.ts';
import { signalCharacters } from '../syscall/terminal.ts';

export interface Input {
  /** Takes text for the command. It is read when the command reads; false when nobody can read it any more. */
  write(text: string): boolean;
  /** Takes bytes for the command and resolves when they were handed over, so that its giver keeps pace with it; false when nobody can read them any more. */
  feed(bytes: Buffer): Promise<boolean>;
  /** No more will come: the command sees the end of file. */
  end(): void;
  /** Gives up what was not read yet. */
  discard(): void;
}

/** For a command that was started without input, or whose input has ended. */
export const noInput: Input = { write: () => false, feed: async () => false, end: () => {}, discard: () => {} };

/** The write end of a pipe, which this takes over. A command that does not read all of it is no error. */
export const pipeInput = (fd: Fd): Input => {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => socket.destroy());
  return {
    write: (text) => socket.writable && (socket.write(text), true),
    feed: (bytes) => new Promise((resolve) => (socket.writable ? socket.write(bytes, (error) => resolve(!error)) : resolve(false))),
    end: () => void socket.end(),
    discard: () => void socket.destroy(),
  };
};

/** How long a terminal that takes no more is left alone. */
const RETRY_MS = 10;
const END_OF_TRANSMISSION = 4; // Ctrl-D, VEOF

/**
 * The keyboard of the terminal whose master is `master`, which this takes over. What means a signal there (Ctrl-C) is typed, so that it is echoed,
 * and told to `onSignal`, because the kernel that knows the programs does not see it.
 */
export const terminalInput = (master: Fd, onSignal: (signal: 'SIGINT' | 'SIGQUIT' | 'SIGTSTP') => void): Input => {
  let queue: Promise<void> = Promise.resolve();
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeSync(master);
    isOpen = false;
  };
  const type = async (bytes: Buffer): Promise<void> => {
    for (const part of splitAtSignals(bytes, master)) {
      await writeAll(master, part.bytes, () => isOpen);
      if (part.signal !== null) onSignal(part.signal);
    }
  };
  const enqueue = (bytes: Buffer): boolean => {
    queue = queue.then(() => (isOpen ? type(bytes) : undefined)).catch(close);
    return isOpen;
  };
  return {
    write: (text) => enqueue(Buffer.from(text)),
    feed: async (bytes) => {
      enqueue(bytes);
      await queue;
      return isOpen;
    },
    end: () => void enqueue(Buffer.of(END_OF_TRANSMISSION)),
    discard: close,
  };
};

interface Typed {
  readonly bytes: Buffer;
  readonly signal: 'SIGINT' | 'SIGQUIT' | 'SIGTSTP' | null;
}

const splitAtSignals = (bytes: Buffer, master: Fd): readonly Typed[] => {
  const characters = signalCharacters(master);
  const parts: Typed[] = [];
  let start = 0;
  for (const [index, byte] of bytes.entries()) {
    const signal = characters.get(byte);
    if (signal === undefined) continue;
    parts.push({ bytes: bytes.subarray(start, index + 1), signal });
    start = index + 1;
  }
  return [...parts, { bytes: bytes.subarray(start), signal: null }];
};

const writeAll = async (fd: Fd, bytes: Buffer, isOpen: () => boolean): Promise<void> => {
  for (let done = 0; done < bytes.length && isOpen();) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if (!hasCode(error, 'EAGAIN')) throw error;
      await sleep(RETRY_MS);
    }
  }
};
