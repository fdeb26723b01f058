/** MCP's framing on a byte stream: one JSON message a line. A transport for the SDK that survives whatever a client sends. */
import type { Readable, Writable } from 'node:stream';
import { isJSONRPCErrorResponse, isJSONRPCNotification, isJSONRPCRequest, isJSONRPCResultResponse } from '@modelcontextprotocol/server';
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server';
import { log } from '../log.ts';

/** The two directions of a connection with one client. */
export interface Wire {
  readonly input: Readable;
  readonly output: Writable;
}

/** How a connection ended. */
export interface Ending {
  /** for the log */
  readonly reason: string;
  /** what the process exits with */
  readonly exitCode: 0 | 1;
}

/** the longest message in bytes; one that is longer ends the connection */
export const MAX_MESSAGE_BYTES = 10 * 1024 * 1024;

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
    const { input, output } = this.#wire;
    const gone = (reason: string) => () => this.#finish({ reason, exitCode: 0 });
    input.on('data', this.#take).on('end', gone('end of stdin')).on('close', gone('stdin was closed')).on('error', gone('stdin failed'));
    output.on('error', gone('stdout was closed by the client')).on('close', gone('stdout was closed'));
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

const parseJson = (text: string): { value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
};

const isMessage = (value: unknown): value is JSONRPCMessage =>
  isJSONRPCRequest(value) || isJSONRPCNotification(value) || isJSONRPCResultResponse(value) || isJSONRPCErrorResponse(value);

// An answer is never answered, however broken it is.
const isAnswer = (value: unknown): boolean => typeof value === 'object' && value !== null && ('result' in value || 'error' in value);

// The id to answer with: only one that comes back as it was sent, else null.
const idOf = (value: unknown): string | number | null => {
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : null;
  return typeof id === 'string' || Number.isSafeInteger(id) ? (id as string | number) : null;
};
