/** Parameters that several tools share. */
import { z } from 'zod';

/** The handle of a sandbox, as sandbox_create returned it. */
export const sandboxId = z.string().describe('the `sandbox_id` that sandbox_create returned');

/** A string that can be handed to a program: without a NUL byte, which would end it there. */
export const text = z.string().refine((value) => !value.includes('\0'), 'a string without NUL bytes');

/** Variables by name. */
export const variables = z.record(
  z.string().refine((name) => name !== '' && !/[=\0]/.test(name), 'a name without "=" and NUL bytes'),
  text,
);
