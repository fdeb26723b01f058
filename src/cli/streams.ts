/** This process's own stdin, stdout and stderr, lent to a command: bytes as they come, and no faster than the other side takes them. */
import { constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { isatty, type WriteStream } from 'node:tty';
import type { Take } from '../session/output.ts';
import type { ExecInput } from '../session/requests.ts';

/** One of our own streams takes no more. */
export class StreamLost extends Error {
  override readonly name = 'StreamLost';
  /** name of the errno: EPIPE where its reader is gone, EIO where its terminal is; of the signal where nobody wants to wait any longer */
  readonly code: string;

  constructor(stream: string, code: string, cause?: unknown) {
    super(`${stream} cannot be written: ${code}`, { cause });
    this.code = code;
  }
}

export interface Streams {
  /** read from when it is asked for its first piece; ends at the end of file, and where it cannot be read, which `warn` is told */
  readonly stdin: AsyncIterable<Buffer>;
  /** writes all of what it is given before it resolves; throws StreamLost */
  readonly write: Take;
  /** Gives up what was not written yet, because of a signal. */
  abandon(signal: string): void;
}

/** Nothing of the streams is touched before it is used. */
export const openStreams = (warn: (message: string) => void): Streams => {
  const writers = { stdout: lazily(() => writerOf('stdout')), stderr: lazily(() => writerOf('stderr')) };
  let abandon = (_signal: string): void => {};
  const abandoned = new Promise<never>((_, reject) => {
    abandon = (signal) => reject(new StreamLost('output', signal));
  });
  abandoned.catch(() => undefined);
  return { stdin: piecesOf(warn), write: (stream, bytes) => Promise.race([writers[stream]()(bytes), abandoned]), abandon };
};

/** The keyboard of the person before us: 0 where stdin is a terminal, else null. */
export const keyboard = (): 0 | null => (isatty(0) ? 0 : null);

type Size = Pick<ExecInput, 'rows' | 'cols'>;

/** The terminal that this process prints to, if it does. */
export const openScreen = (): { size(): Size; onResize(action: () => unknown): void } | null => {
  const screen: WriteStream | undefined = isatty(1) ? process.stdout : isatty(2) ? process.stderr : undefined;
  return screen === undefined ? null : { size: () => sizeOf(screen), onResize: (action) => void screen.on('resize', action) };
};

// Where nobody has told the terminal how large it is, it says 0.
const sizeOf = ({ rows, columns }: WriteStream): Size => ({ ...(rows > 0 ? { rows } : {}), ...(columns > 0 ? { cols: columns } : {}) });

const lazily = <T>(make: () => T): (() => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};

const piecesOf = async function* (warn: (message: string) => void): AsyncGenerator<Buffer> {
  const fifo = ownFifo(0, constants.O_RDONLY);
  const stdin: Readable = fifo === null ? process.stdin : new Socket({ fd: fifo, readable: true, writable: false });
  try {
    yield* stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'EIO') warn(`stdin cannot be read: ${code}; the command sees its end`); // EIO: its terminal is gone
  }
};

const writerOf = (name: 'stdout' | 'stderr'): ((bytes: Buffer) => Promise<void>) => {
  const fifo = ownFifo(name === 'stdout' ? 1 : 2, constants.O_WRONLY);
  const stream: Writable = fifo === null ? process[name] : new Socket({ fd: fifo, readable: false, writable: true });
  stream.on('error', () => {}); // told to whoever writes
  const written = (bytes: Buffer): Promise<void> => new Promise((resolve, reject) => stream.write(bytes, (error) => (error ? reject(error) : resolve())));
  return (bytes) =>
    written(bytes).catch((cause: unknown) => {
      throw new StreamLost(name, codeOf(cause), cause);
    });
};

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error));

// Node makes a pipe non-blocking, and with it every other process that shares its description (`make -j`): opened anew it is so for us alone.
// What cannot be opened so (a socket, another user's pipe, one whose reader is gone) is taken as it is.
const ownFifo = (fd: 0 | 1 | 2, access: number): number | null => {
  try {
    return fstatSync(fd).isFIFO() ? openSync(`/proc/self/fd/${fd}`, access | constants.O_NONBLOCK) : null;
  } catch {
    return null;
  }
};
