/** The stdin and stdout of a child as a transport for the MCP clients of both lines, which spawn as nobody but themselves. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';

/** One JSON message a line. */
export class ChildWire {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** lines on stdout that were no message: there should be none */
  readonly garbage: string[] = [];
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
  }

  start(): Promise<void> {
    const lines = createInterface({ input: this.#child.stdout, crlfDelay: Infinity });
    lines.on('line', (line) => this.#take(line));
    lines.on('close', () => this.onclose?.());
    this.#child.stdin.on('error', (error) => this.onerror?.(error));
    return Promise.resolve();
  }

  send(message: JSONRPCMessage): Promise<void> {
    return new Promise((resolve, reject) => this.#child.stdin.write(`${JSON.stringify(message)}\n`, (error) => (error ? reject(error) : resolve())));
  }

  /** Ends stdin: the client is gone. */
  close(): Promise<void> {
    this.#child.stdin.end();
    return Promise.resolve();
  }

  #take(line: string): void {
    const message = parse(line);
    if (message === undefined) this.garbage.push(line);
    else this.onmessage?.(message);
  }
}

const parse = (line: string): JSONRPCMessage | undefined => {
  try {
    return JSON.parse(line) as JSONRPCMessage;
  } catch {
    return undefined;
  }
};
