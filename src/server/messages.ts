/** What both framings have in common: the wire, how it ends, and what of JSON is a message. */
import type { Readable, Writable } from 'node:stream';

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

/** Resolves when the client is gone: one of the directions has ended, now or before. */
export const untilGone = ({ input, output }: Wire): Promise<Ending> =>
  new Promise((resolve) => {
    const gone = (reason: string) => (): void => resolve({ reason, exitCode: 0 });
    if (input.readableEnded || input.destroyed) gone('end of stdin')();
    input.on('end', gone('end of stdin')).on('close', gone('stdin was closed')).on('error', gone('stdin failed'));
    output.on('error', gone('stdout was closed by the client')).on('close', gone('stdout was closed'));
  });

/** The value of a text, undefined where it is no JSON. */
export const parseJson = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
};

/** Whether a value answers something: an answer is never answered, however broken it is. */
export const isAnswer = (value: unknown): boolean => typeof value === 'object' && value !== null && ('result' in value || 'error' in value);

/** The id to answer with: only one that comes back as it was sent, else null. */
export const idOf = (value: unknown): string | number | null => {
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : null;
  return typeof id === 'string' || Number.isSafeInteger(id) ? (id as string | number) : null;
};
