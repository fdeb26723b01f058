/** The signals that would end this process, handed on to a command. */

const RELAYED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

export interface Relay {
  /** aborted by a signal that came before there was a command; its reason is the signal's name */
  readonly early: AbortSignal;
  /** From now on each signal goes to the command; an interruption after the first kills it, because it was not enough. */
  handOn(send: (signal: string) => unknown): void;
}

/** Takes the signals, for good: what this process does at its end is not cut short by them. */
export const relaySignals = (): Relay => {
  const early = new AbortController();
  let send = (signal: string): unknown => early.abort(signal);
  let interrupts = 0;
  for (const signal of RELAYED) {
    process.on(signal, () => {
      if (signal === 'SIGINT') interrupts += 1;
      send(signal === 'SIGINT' && interrupts > 1 ? 'SIGKILL' : signal);
    });
  }
  return { early: early.signal, handOn: (next) => void (send = next) };
};
