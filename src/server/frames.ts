/** JSON-RPC's framing on a byte stream: each message behind a header `Content-Length: N`. A reader for vscode-jsonrpc that survives whatever a client sends. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AbstractMessageReader, ErrorCodes } from 'vscode-jsonrpc/node';
import type { DataCallback, Disposable, Message, MessageReader, MessageWriter, ResponseMessage } from 'vscode-jsonrpc/node';
import { log } from '../log.ts';
import { idOf, isAnswer, MAX_MESSAGE_BYTES, parseJson, untilGone, type Ending, type Wire } from './messages.ts';

/** Why bytes cannot be cut into frames any more. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Most bytes that a header may take. */
const MAX_HEADER_BYTES = 4096;
const SEPARATOR = Buffer.from('\r\n\r\n');

/** Cuts chunks of bytes into the bodies of frames; the unfinished one is kept. Throws FrameError as soon as a header is none or announces more than `limit` bytes. */
export const createFrameSplitter = (limit: number): ((chunk: Buffer) => Buffer[]) => {
  let header = Buffer.alloc(0);
  let pieces: Buffer[] = [];
  let length = 0;
  /** bytes of the body; null while its header is being read */
  let wanted: number | null = null;
  return (chunk) => {
    const bodies: Buffer[] = [];
    for (let rest = chunk; ;) {
      if (wanted === null) {
        const known = header.length;
        header = Buffer.concat([header, rest.subarray(0, MAX_HEADER_BYTES + SEPARATOR.length - known)]);
        const end = header.indexOf(SEPARATOR);
        if (end === -1 && header.length < MAX_HEADER_BYTES + SEPARATOR.length) return bodies;
        wanted = lengthIn(header.toString('latin1', 0, end === -1 ? undefined : end), limit);
        header = Buffer.alloc(0);
        rest = rest.subarray(end + SEPARATOR.length - known);
      }
      const piece = rest.subarray(0, wanted - length);
      pieces.push(piece);
      length += piece.length;
      if (length < wanted) return bodies;
      bodies.push(Buffer.concat(pieces, length));
      rest = rest.subarray(piece.length);
      pieces = [];
      length = 0;
      wanted = null;
    }
  };
};

// The length that a header announces. Other fields are passed over, as Content-Type: the body is JSON in UTF-8 whatever it says.
const lengthIn = (header: string, limit: number): number => {
  if (header.length > MAX_HEADER_BYTES) throw new FrameError('a message has no header: expected `Content-Length: N` and an empty line');
  const fields = header.split('\r\n').map((line) => /^(?<name>[^\s:]+):[ \t]*(?<value>.*?)[ \t]*$/.exec(line)?.groups);
  if (fields.includes(undefined)) throw new FrameError('the header of a message has a line that is no field');
  const lengths = fields.filter((field) => field?.['name']?.toLowerCase() === 'content-length').map((field) => field?.['value'] ?? '');
  if (lengths.length !== 1 || !/^\d+$/.test(lengths[0]!)) throw new FrameError('the header of a message does not hold one Content-Length in bytes');
  const length = Number(lengths[0]);
  if (length > limit) throw new FrameError(`a message of ${length} bytes is longer than ${limit}`);
  return length;
};

/** Hands on what is a message and answers, or logs, everything else. `ended` resolves once, when no more messages can come or be sent. */
export class FrameReader extends AbstractMessageReader implements MessageReader {
  readonly ended: Promise<Ending>;
  readonly #wire: Wire;
  readonly #writer: MessageWriter;
  readonly #takesAnswers: boolean;
  readonly #split = createFrameSplitter(MAX_MESSAGE_BYTES);
  #end!: (ending: Ending) => void;
  #closed = false;

  /** `takesAnswers`: whether we ask, too; left out: what answers is skipped */
  constructor(wire: Wire, writer: MessageWriter, { takesAnswers = false }: { readonly takesAnswers?: boolean } = {}) {
    super();
    this.#takesAnswers = takesAnswers;
    this.#wire = wire;
    this.#writer = writer;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  listen(callback: DataCallback): Disposable {
    const { input } = this.#wire;
    input.on('data', (chunk: Buffer) => void this.#take(chunk, callback));
    void untilGone(this.#wire).then((ending) => this.#finish(ending));
    return { dispose: () => this.dispose() };
  }

  override dispose(): void {
    this.#finish({ reason: 'the connection was closed', exitCode: 0 });
    super.dispose();
  }

  // One message a turn: of two with the same id that it has not looked at yet, vscode-jsonrpc keeps only one.
  async #take(chunk: Buffer, callback: DataCallback): Promise<void> {
    if (this.#closed) return;
    const { input } = this.#wire;
    input.pause();
    try {
      for (const body of this.#split(chunk)) {
        this.#receive(body, callback);
        await nextTurn();
      }
    } catch (error) {
      this.#finish({ reason: error instanceof Error ? error.message : String(error), exitCode: 1 });
    }
    if (!this.#closed) input.resume();
  }

  #receive(body: Buffer, callback: DataCallback): void {
    if (this.#closed) return;
    const parsed = parseJson(body.toString());
    if (parsed === undefined) return this.#refuse(body, null, ErrorCodes.ParseError, 'Parse error: a frame holds no JSON');
    const message = parsed.value;
    if (isCall(message)) return handOn(message, callback);
    if (this.#takesAnswers && isAnswer(message) && idOf(message) !== null) return handOn(message as Message, callback);
    if (isAnswer(message)) return log.debug({ bytes: body.length }, 'an answer to nothing was skipped');
    this.#refuse(body, idOf(message), ErrorCodes.InvalidRequest, 'Invalid Request: not one JSON-RPC 2.0 message');
  }

  #refuse(body: Buffer, id: ResponseMessage['id'], code: number, message: string): void {
    log.warn({ bytes: body.length, code }, 'a frame is no message and was refused');
    const answer: ResponseMessage = { jsonrpc: '2.0', id, error: { code, message } };
    this.#writer.write(answer).catch(() => undefined); // then the client is gone, and that is told by the wire
  }

  #finish(ending: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wire.input.pause();
    this.#end(ending);
  }
}

// Of a cancellation without a usable id vscode-jsonrpc complains by throwing.
const handOn = (message: Message, callback: DataCallback): void => {
  try {
    callback(message);
  } catch (error) {
    log.debug({ err: error }, 'a message was skipped');
  }
};

// A request or a notification: its id, where it has one, can be given back, and its parameters are an object or a list, or null for none.
const isCall = (value: unknown): value is Message => {
  if (typeof value !== 'object' || value === null || !('jsonrpc' in value) || value.jsonrpc !== '2.0') return false;
  if (!('method' in value) || typeof value.method !== 'string' || ('id' in value && idOf(value) === null)) return false;
  return !('params' in value) || typeof value.params === 'object';
};
