/** The real server with a client before it that speaks JSON-RPC in frames: vscode-jsonrpc, as an IDE has it. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { onTestFinished } from 'vitest';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter, type MessageConnection } from 'vscode-jsonrpc/node';
import { makeHome } from './home.ts';
import { watchHost, type HostLook } from './looks.ts';
import { startCellwall, type ServerOptions } from './server.ts';

export interface FramedServer {
  readonly pid: number;
  readonly connection: MessageConnection;
  /** everything that it wrote to stdout so far */
  stdout(): Buffer;
  /** everything that was logged so far */
  stderr(): string;
  /** stops reading stdout until the returned function is called */
  stopReading(): () => void;
  /** closes both streams in the middle of whatever is going on */
  vanish(): void;
  /** what of it is on this host */
  look(): HostLook;
  /** ends stdin and resolves with the exit code; null after a signal */
  close(): Promise<number | null>;
  /** resolves with the exit code when the process has ended */
  readonly ended: Promise<number | null>;
}

/** Starts a server and connects a client. What is still running at the end of the test, or whenever `onEnd` says, is ended then. */
export const startFramedServer = (options: Omit<ServerOptions, 'client'> = {}, onEnd: (end: () => Promise<void>) => void = onTestFinished): FramedServer => {
  const home = options.home ?? makeHome();
  const look = watchHost(home);
  const child = startCellwall({ ...options, home });
  const [said, logged]: [Buffer[], string[]] = [[], []];
  child.stderr.setEncoding('utf8').on('data', (text: string) => void logged.push(text));
  child.stdin.on('error', () => {}); // the server may go first
  const read = new PassThrough();
  child.stdout.on('data', (bytes: Buffer) => void said.push(bytes)).pipe(read);
  const connection = createMessageConnection(new StreamMessageReader(read), new StreamMessageWriter(child.stdin));
  connection.listen();
  const ended = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  onEnd(async () => {
    child.kill('SIGKILL');
    await ended;
    connection.dispose();
  });
  return {
    pid: child.pid!,
    connection,
    stdout: () => Buffer.concat(said),
    stderr: () => logged.join(''),
    stopReading: () => {
      child.stdout.unpipe(read).pause();
      return () => void child.stdout.pipe(read);
    },
    vanish: () => {
      child.stdin.destroy();
      child.stdout.destroy();
    },
    look,
    close: async () => {
      child.stdin.end();
      return ended;
    },
    ended,
  };
};
