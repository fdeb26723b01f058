/**
 * The control socket of a gVisor sandbox: JSON values back to back over AF_UNIX, one request at a time per connection, descriptors as passengers
 * of the first byte. Whoever can connect owns the sandbox, so the socket lies in a directory of the server's alone.
 */
import { Socket } from 'node:net';
import type { Fd } from '../../syscall/files.ts';
import { connectUnix, sendDescriptors } from '../../syscall/socket.ts';

/** What the sandbox answered: it refused the call, in its own words, which may hold anything and never cross the wire. */
export class ControlError extends Error {
  readonly method: string;

  constructor(method: string, said: string) {
    super(`${method}: ${said}`);
    this.name = 'ControlError';
    this.method = method;
  }
}

/** The connection ended before an answer came: the sandbox is gone. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** One connection. Calls queue up: a call that blocks (WaitPID) wants a connection of its own. */
export class ControlConnection {
  readonly #fd: Fd;
  readonly #socket: Socket;
  #received = '';
  #pending: Promise<unknown> = Promise.resolve();
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

  /** Connects at once; throws SyscallError where nobody listens. */
  constructor(path: string) {
    this.#fd = connectUnix(path);
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: true });
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => this.#receive(text));
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => this.#waiting?.reject(new ConnectionLost('the control connection was closed')));
  }

  /** Calls a method of `containerManager` or its like. Throws ControlError when the sandbox refuses, ConnectionLost when it is gone. */
  call(method: string, argument: unknown, descriptors: readonly Fd[] = []): Promise<unknown> {
    const turn = this.#pending.then(() => this.#exchange(method, argument, descriptors));
    this.#pending = turn.catch(() => undefined);
    return turn;
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #exchange(method: string, argument: unknown, descriptors: readonly Fd[]): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#socket.destroyed) throw new ConnectionLost('the control connection is closed');
      this.#waiting = { resolve, reject };
      const message = Buffer.from(JSON.stringify({ method, arg: argument }));
      if (descriptors.length > 0) sendDescriptors(this.#fd, message[0]!, descriptors);
      this.#socket.write(descriptors.length > 0 ? message.subarray(1) : message);
    });
    if (!answer.success) throw new ControlError(method, answer.err);
    return answer.result;
  }

  // A value is complete when it parses: there is no framing, and one answer at most is under way.
  #receive(text: string): void {
    this.#received += text;
    let answer: Answer;
    try {
      answer = JSON.parse(this.#received) as Answer;
    } catch {
      return;
    }
    this.#received = '';
    this.#waiting?.resolve(answer);
    this.#waiting = undefined;
  }
}

interface Answer {
  readonly success: boolean;
  readonly err: string;
  readonly result: unknown;
}
