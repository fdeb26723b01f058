/** What a client hears of a call that runs: over JSON-RPC the output itself, over MCP a sign of life with the last line of it. */
import type { ServerContext } from '@modelcontextprotocol/server';
import type { ToolContext } from '../tool.ts';
import { cleanOutput } from './clean.ts';

const STREAMS = ['stdout', 'stderr'] as const;
type Stream = (typeof STREAMS)[number];

/** A part of what a command wrote, as text. */
export interface OutputPart {
  readonly stream: Stream;
  readonly text: string;
}

export interface OutputStream {
  /** Hands on a part, and resolves when the client has taken it, or when the call is cancelled. */
  readonly take: (stream: Stream, bytes: Buffer) => Promise<void>;
  /** Hands on what is left: of a last character that lacks bytes nothing more will come. */
  readonly end: () => Promise<void>;
}

/** Turns bytes into text, invalid UTF-8 into U+FFFD, and never cuts a character. Waits for each part to be sent, so that nothing piles up. */
export const streamOutput = (send: (part: OutputPart) => Promise<void>, signal: AbortSignal): OutputStream => {
  const decoders = { stdout: createDecoder(), stderr: createDecoder() };
  const canceled = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  const pass = async (stream: Stream, text: string): Promise<void> => {
    if (text !== '' && !signal.aborted) await Promise.race([send({ stream, text }), canceled]);
  };
  return {
    take: (stream, bytes) => pass(stream, decoders[stream].decode(bytes, { stream: true })),
    end: async () => {
      for (const stream of STREAMS) await pass(stream, decoders[stream].decode());
    },
  };
};

// A byte order mark is output like any other.
const createDecoder = () => new TextDecoder('utf-8', { ignoreBOM: true });

export interface Heartbeat {
  readonly onOutput: ToolContext['onOutput'];
  readonly stop: () => void;
}

/** how often there may be a sign of life while there is output, and how often there is one without, in `ms` */
const BEAT_MS = 250;
const SILENCE_MS = 1000;

/** Tells a client that gave a progress token that its call still runs, for how long, and what was printed last, until it is cancelled or stopped. */
export const reportProgress = ({ _meta, signal, notify }: ServerContext['mcpReq']): Heartbeat => {
  const progressToken = _meta?.progressToken;
  if (progressToken === undefined) return { onOutput: undefined, stop: () => {} };
  const tail = createTail();
  let [elapsed, toldAt, isNews] = [0, 0, false];
  const beat = (): void => {
    elapsed += BEAT_MS;
    if (!isNews && elapsed - toldAt < SILENCE_MS) return;
    [toldAt, isNews] = [elapsed, false];
    const message = tail.lastLine() || `running for ${elapsed / 1000} s`;
    notify({ method: 'notifications/progress', params: { progressToken, progress: elapsed / 1000, message } }).catch(stop);
  };
  const timer = setInterval(beat, BEAT_MS);
  const stop = (): void => clearInterval(timer);
  signal.addEventListener('abort', stop, { once: true });
  const onOutput = (stream: Stream, bytes: Buffer): void => {
    tail.take(stream, bytes);
    isNews = true;
  };
  return { onOutput, stop };
};

/** how much of a stream is looked at for its last line, in bytes */
const TAIL_BYTES = 4096;
/** the longest line that is told, in characters */
const LINE_LENGTH = 200;

const createTail = () => {
  const tails = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  let latest: Stream = 'stdout';
  return {
    take: (stream: Stream, bytes: Buffer): void => {
      latest = stream;
      tails[stream] = Buffer.concat([tails[stream], bytes.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
    },
    /** of the stream that was written last; empty where there is none */
    lastLine: (): string => {
      const lines = cleanOutput(tails[latest].toString()).split('\n').map(printable);
      return (
        lines
          .findLast((line) => line !== '')
          ?.slice(0, LINE_LENGTH)
          .replace(/[\uD800-\uDBFF]$/, '') ?? ''
      );
    },
  };
};

// Without control characters, and without what is left of a character that the tail cuts.
const printable = (line: string): string =>
  line
    .replaceAll('\t', ' ')
    .replaceAll(/\p{Cc}|^\uFFFD+|\uFFFD+$/gu, '')
    .trim();
