/** Errors on their way from one thread to another, which leaves of them only what is plain data. */
import { SandboxError, type ErrorCode } from '../errors.ts';

export interface Thrown {
  readonly kind: 'sandbox' | 'other';
  readonly message: string;
  readonly stack: string;
  /** of the contract, or an errno's name; `''` for none */
  readonly code: string;
  readonly hint: string;
  readonly cause: Thrown | null;
}

/** What was thrown, as plain data. */
export const thrownOf = (error: unknown): Thrown => {
  if (!(error instanceof Error)) return { kind: 'other', message: String(error), stack: '', code: '', hint: '', cause: null };
  const shared = { message: error.message, stack: error.stack ?? '', cause: error.cause === undefined ? null : thrownOf(error.cause) };
  if (error instanceof SandboxError) return { kind: 'sandbox', ...shared, code: error.code, hint: error.hint };
  return { kind: 'other', ...shared, code: 'code' in error ? String(error.code) : '', hint: '' };
};

/** The error again: a SandboxError, or an Error with its code. */
export const rethrown = ({ kind, message, stack, code, hint, cause }: Thrown): Error => {
  const options = cause === null ? {} : { cause: rethrown(cause) };
  if (kind === 'sandbox') return new SandboxError(code as ErrorCode, message, { hint, ...options });
  return Object.assign(new Error(message, options), { stack, ...(code === '' ? {} : { code }) });
};
