/** Time, as something that a test can hold still. */

export interface Clock {
  /** wall clock in `ms` since 1970 */
  now(): number;
  /** runs `action` once, `ms` from now, and returns what cancels it; at most 24 days ahead, which is what a timer holds */
  after(ms: number, action: () => void): () => void;
}

/** The machine's clock. A timer of it never keeps the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms).unref();
    return () => clearTimeout(timer);
  },
};
