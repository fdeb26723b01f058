/** The frames of JSON-RPC on a byte stream, looked at before anything is kept of them: a message that is too long ends the connection. */
import { Transform, type TransformCallback } from 'node:stream';
import { MAX_MESSAGE_BYTES } from './lines.ts';

/** Most that headers may take. */
const MAX_HEADER_BYTES = 4096;
const SEPARATOR = Buffer.from('\r\n\r\n');

/** Passes frames through as they come. Fails when a header is no header, or announces more than a message may have. */
export class FrameGuard extends Transform {
  #header = Buffer.alloc(0);
  /** bytes of the body that are still to come */
  #body = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#check(chunk);
      done(null, chunk);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #check(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0;) {
      const skipped = Math.min(this.#body, rest.length);
      this.#body -= skipped;
      rest = this.#takeHeader(rest.subarray(skipped));
    }
  }

  // What follows the header, if it is complete.
  #takeHeader(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes;
    const before = this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, MAX_HEADER_BYTES)]);
    const end = this.#header.indexOf(SEPARATOR);
    if (end === -1) {
      if (this.#header.length >= MAX_HEADER_BYTES) throw new Error('a message has no header: `Content-Length: N` and an empty line were expected');
      return Buffer.alloc(0);
    }
    const length = /^content-length:[ \t]*(\d+)[ \t]*$/im.exec(this.#header.toString('latin1', 0, end))?.[1];
    if (length === undefined) throw new Error('a message has no Content-Length');
    if (Number(length) > MAX_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes is longer than ${MAX_MESSAGE_BYTES}`);
    this.#body = Number(length);
    this.#header = Buffer.alloc(0);
    return bytes.subarray(end + SEPARATOR.length - before);
  }
}
