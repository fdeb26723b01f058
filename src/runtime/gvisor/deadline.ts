/** What gVisor may take for an answer. */
import { SandboxError } from '../../errors.ts';

/** The result of `work`. Throws RUNTIME_FAILED when it takes longer, CANCELED when `signal` fires; the work itself goes on. */
export const inTime = async <T>(work: Promise<T>, deadlineMs: number, signal: AbortSignal): Promise<T> => {
  let settle: (() => void) | undefined;
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new SandboxError('RUNTIME_FAILED', `gVisor did not start the sandbox within ${deadlineMs / 1000} s`)), deadlineMs);
    const cancel = (): void => reject(new SandboxError('CANCELED', 'the call was canceled'));
    signal.addEventListener('abort', cancel, { once: true });
    settle = () => (clearTimeout(timer), signal.removeEventListener('abort', cancel));
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, late]);
  } finally {
    work.catch(() => undefined);
    settle?.();
  }
};
