/** Parameters that several tools share. */
import { z } from 'zod';

/** The handle of a sandbox, as sandbox_create returned it. */
export const sandboxId = z.string().describe('from sandbox_create');

/** A string that can be handed to a program: without a NUL byte, which would end it there. */
export const text = z.string().refine((value) => !value.includes('\0'), 'a string without NUL bytes');

/** Variables by name. */
export const variables = z.record(
  z.string().refine((name) => name !== '' && !/[=\0]/.test(name), 'a name without "=" and NUL bytes'),
  text,
);

/** How long a call waits for a command. */
export const waitMs = z.int().min(0).exactOptional().describe('how long to wait for its end, at most 45000; 0: not at all; left out: 30000');

/** Size of a terminal. */
export const windowSize = {
  rows: z.int().min(1).max(65_535).exactOptional().describe('lines of the terminal; left out: 24'),
  cols: z.int().min(1).max(65_535).exactOptional().describe('columns of the terminal; left out: 80'),
};

/** How much of both streams together a result holds. */
export const maxOutputBytes = z.int().min(1).exactOptional().describe('how much of stdout and stderr together to return; left out: 8000');
