/** MCP's framing on a byte stream: one JSON message a line. A transport for the SDK that survives whatever a client sends. */
import { isJSONRPCErrorResponse, isJSONRPCNotification, isJSONRPCRequest, isJSONRPCResultResponse } from '@modelcontextprotocol/server';
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server';
import { log } from '../log.ts';
import { idOf, isAnswer, MAX_MESSAGE_BYTES, parseJson, untilGone, type Ending, type Wire } from './messages.ts';

/** Splits chunks of bytes into lines; the unfinished one is kept. Null as soon as a line is longer than `limit` bytes. */
export const createLineSplitter = (limit: number): ((chunk: Buffer) => Buffer[] | null) => {
  let pieces: Buffer[] = [];
  let length = 0;
  return (chunk) => {
    const lines: Buffer[] = [];
    for (let start = 0; start <= chunk.length;) {
      const end = chunk.indexOf(0x0a, start);
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end);
      length += piece.length;
      if (length > limit) return null;
      pieces.push(piece);
      if (end === -1) break;
      lines.push(Buffer.concat(pieces, length));
      pieces = [];
      length = 0;
      start = end + 1;
    }
    return lines;
  };
};

/** Carries messages between a wire and the SDK. `ended` resolves once, when no more messages can come or be sent. */
export class LineTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: NonNullable<Transport['onmessage']>;
  readonly ended: Promise<Ending>;
  readonly #wire: Wire;
  readonly #split = createLineSplitter(MAX_MESSAGE_BYTES);
  #end!: (ending: Ending) => void;
  #closed = false;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async start(): Promise<void> {
    this.#wire.input.on('data', this.#take);
    void untilGone(this.#wire).then((ending) => this.#finish(ending));
  }

  /** Resolves when the message has been handed to the operating system or is waiting for a slow client. */
  async send(message: JSONRPCMessage): Promise<void> {
    this.#write(message);
  }

  async close(): Promise<void> {
    this.#finish({ reason: 'the connection was closed', exitCode: 0 });
  }

  readonly #take = (chunk: Buffer | string): void => {
    if (this.#closed) return;
    const lines = this.#split(Buffer.from(chunk));
    if (lines === null) this.#finish({ reason: `a message is longer than ${MAX_MESSAGE_BYTES} bytes`, exitCode: 1 });
    else for (const line of lines) this.#receive(line);
  };

  #receive(line: Buffer): void {
    const text = line.toString().trim();
    if (text === '') return;
    const parsed = parseJson(text);
    if (parsed === undefined) return log.warn({ bytes: line.length }, 'a line is no JSON and was skipped');
    const message = parsed.value;
    if (isMessage(message)) return this.onmessage?.(message);
    log.warn({ bytes: line.length }, 'a line is no JSON-RPC message and was refused');
    if (!isAnswer(message))
      this.#write({ jsonrpc: '2.0', id: idOf(message), error: { code: -32600, message: 'Invalid Request: not one JSON-RPC 2.0 message' } });
  }

  #write(message: object): void {
    if (!this.#closed) this.#wire.output.write(`${JSON.stringify(message)}\n`);
  }

  #finish(ending: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wire.input.pause();
    this.#end(ending);
    this.onclose?.();
  }
}

const isMessage = (value: unknown): value is JSONRPCMessage =>
  isJSONRPCRequest(value) || isJSONRPCNotification(value) || isJSONRPCResultResponse(value) || isJSONRPCErrorResponse(value);
