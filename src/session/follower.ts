/** Reads a stream from one position to its end, in order and whole, while it is written. */
import { readSync } from 'node:fs';
import { STREAMS, type Output, type Stream, type Streams, type StreamState, type Take } from './output.ts';

/** Most that is handed on at once. */
const CHUNK = 64 * 1024;

export class Follower {
  readonly stream: Stream;
  readonly #output: Output;
  #position: number;

  /** From now on the command waits when it is far ahead, so that nothing is left out before it was read. */
  constructor(stream: Stream, position: number, output: Output) {
    this.stream = stream;
    this.#position = position;
    this.#output = output;
    output.follow(stream, position);
  }

  /** Hands on what is new. What was left out before it was followed is told as a line. */
  async advance(state: StreamState, take: Take): Promise<void> {
    while (this.#position < state.total) {
      const { total, headEnd, tailStart, fd, fileSize } = state;
      if (this.#position >= headEnd && this.#position < tailStart) {
        await take(this.stream, Buffer.from(`\n… ${tailStart - this.#position} bytes omitted …\n`));
        this.#position = tailStart;
        continue;
      }
      const isHead = this.#position < headEnd;
      const bytes = Buffer.alloc(Math.min(CHUNK, (isHead ? headEnd : total) - this.#position));
      const read = readSync(fd, bytes, 0, bytes.length, isHead ? this.#position : fileSize - (total - this.#position));
      if (read === 0) break; // the file is gone with its sandbox
      await take(this.stream, bytes.subarray(0, read));
      this.#position += read;
    }
    this.#output.follow(this.stream, this.#position);
  }

  /** The command waits for nobody any more. */
  readonly stop = (): void => this.#output.follow(this.stream, Infinity);
}

/** Both streams of a command, from what was told of them last. */
export class Following {
  readonly #followers: readonly Follower[];
  readonly #take: Take;

  constructor(from: Readonly<Record<Stream, number>>, output: Output, take: Take) {
    this.#followers = STREAMS.map((stream) => new Follower(stream, from[stream], output));
    this.#take = take;
  }

  /** Hands on what is new, up to where these streams stand. */
  async advance(streams: Streams): Promise<void> {
    for (const follower of this.#followers) await follower.advance(streams[follower.stream], this.#take);
  }

  /** The command waits for nobody any more. */
  stop(): void {
    for (const follower of this.#followers) follower.stop();
  }
}
