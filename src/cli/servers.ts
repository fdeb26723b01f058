/** The running servers of this user, talked to through their control sockets, and the sandboxes that they have. */
import { closeSync, constants, existsSync, openSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createMessageConnection, ResponseError, StreamMessageReader, StreamMessageWriter, type MessageConnection } from 'vscode-jsonrpc/node';
import { z } from 'zod';
import { ERRORS, SandboxError, type ErrorCode } from '../errors.ts';
import { ASK, SOCKET } from '../server/control.ts';
import type { Listing } from '../session/requests.ts';

export type Listed = Listing['sandboxes'][number];

/** A server of this user. */
export interface ServerLink {
  /** Calls a method. Throws SandboxError. */
  call<Result>(method: string, params: object): Promise<Result>;
  /** Answers what the server asks while one of its methods runs. */
  onAsk(answer: (question: unknown) => Promise<boolean>): void;
}

export interface Found {
  readonly server: ServerLink;
  readonly sandbox: Listed;
}

/** Runs `use` with all sandboxes of all servers of a state directory that answer. */
export const withSandboxes = async <T>(stateDir: string, use: (found: readonly Found[]) => Promise<T>): Promise<T> => {
  const links = (await Promise.all(directoriesIn(join(stateDir, 'servers')).map(link))).filter((one) => one !== null);
  try {
    const found = await Promise.all(links.map(sandboxesOf));
    return await use(found.flat());
  } finally {
    for (const { close } of links) close();
  }
};

/** The one that is meant: by its id, the beginning of its id, or its label. Throws SANDBOX_NOT_FOUND, also where several are meant. */
export const pick = (found: readonly Found[], given: string): Found => {
  const exact = found.filter(({ sandbox }) => sandbox.sandbox_id === given);
  const matching = exact.length > 0 ? exact : found.filter(({ sandbox }) => isMeant(sandbox, given));
  if (matching.length === 1) return matching[0]!;
  const shown = JSON.stringify(given.slice(0, 60));
  const hint = 'cellwall ls shows the sandboxes that there are';
  if (matching.length === 0) throw new SandboxError('SANDBOX_NOT_FOUND', `there is no sandbox ${shown}`, { hint });
  throw new SandboxError('SANDBOX_NOT_FOUND', `${shown} may be any of ${matching.map(({ sandbox }) => sandbox.sandbox_id).join(', ')}`, { hint });
};

const isMeant = ({ sandbox_id, label }: Listed, given: string): boolean =>
  given !== '' && (label === given || sandbox_id.startsWith(given) || sandbox_id.startsWith(`sb_${given}`));

const directoriesIn = (servers: string): string[] =>
  (existsSync(servers) ? readdirSync(servers) : []).filter((name) => !name.startsWith('.')).map((name) => join(servers, name));

/** What a server may take to say what it has, in `ms`; one that takes longer is passed over. */
const PATIENCE_MS = 5000;

const sandboxesOf = async (server: ServerLink): Promise<Found[]> => {
  const late = new Promise<null>((resolve) => setTimeout(resolve, PATIENCE_MS, null).unref());
  const listing = await Promise.race([server.call<Listing>('sandbox.list', {}), late]);
  return (listing?.sandboxes ?? []).map((sandbox) => ({ server, sandbox }));
};

// Null for a server that is dead: nobody listens.
const link = async (directory: string): Promise<(ServerLink & { close(): void }) | null> => {
  const socket = await open(directory);
  if (socket === null) return null;
  const connection = createMessageConnection(new StreamMessageReader(socket), new StreamMessageWriter(socket));
  const gone = new Promise<never>((_, reject) => socket.once('close', () => reject(new SandboxError('SANDBOX_FAILED', 'the server has ended'))));
  gone.catch(() => undefined);
  socket.on('error', () => {});
  connection.onError(() => {});
  connection.listen();
  return {
    call: async <Result>(method: string, params: object) => Promise.race([send<Result>(connection, method, params), gone]),
    onAsk: (answer) => void connection.onRequest(ASK, async (question: unknown): Promise<unknown> => answer(question)),
    close: () => {
      connection.dispose();
      socket.destroy();
    },
  };
};

const open = (directory: string): Promise<Socket | null> =>
  new Promise((resolve) => {
    let fd: number;
    try {
      fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch {
      return resolve(null);
    }
    const socket = connect(`/proc/self/fd/${fd}/${SOCKET}`);
    const done = (result: Socket | null): void => {
      closeSync(fd);
      resolve(result);
    };
    socket.once('connect', () => done(socket)).once('error', () => done(null));
  });

const Failure = z.object({ code: z.string(), hint: z.string() });

const send = async <Result>(connection: MessageConnection, method: string, params: object): Promise<Result> => {
  try {
    return await connection.sendRequest<Result>(method, params);
  } catch (error) {
    const data = error instanceof ResponseError ? Failure.safeParse(error.data).data : undefined;
    if (data === undefined || !(data.code in ERRORS)) throw error;
    throw new SandboxError(data.code as ErrorCode, (error as Error).message, { hint: data.hint });
  }
};
