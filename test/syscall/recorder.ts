/** libc for tests: gives prepared answers, writes down what it was asked, and fails on a call that nobody prepared. */
import { replaceLibc, type Libc, type LibcName } from '../../src/syscall/libc.ts';

/** A result, or the errno of a failure; a list answers call after call, its last entry from then on. */
type Answer = number | bigint | { readonly errno: number };
type Answers = Readonly<Partial<Record<LibcName, Answer | readonly Answer[]>>>;

export interface Recorder {
  /** every call in order: its name, then its arguments; Buffers as copies of what they held then */
  readonly calls: readonly (readonly unknown[])[];
}

/** Runs `use` with a recorder in the place of libc. */
export const recording = <T>(answers: Answers, use: (recorder: Recorder) => T): T => {
  const calls: (readonly unknown[])[] = [];
  const answer = (name: LibcName, args: readonly unknown[]): [number | bigint, number] => {
    const prepared = answers[name];
    if (prepared === undefined) throw new Error(`unexpected call: ${name}`);
    const before = calls.filter(([called]) => called === name).length;
    calls.push([name, ...args.map((argument) => (Buffer.isBuffer(argument) ? Buffer.from(argument) : argument))]);
    const given = Array.isArray(prepared) ? prepared[Math.min(before, prepared.length - 1)] : prepared;
    return typeof given === 'object' ? [-1, given.errno] : [given, 0];
  };
  const recorder: Libc = { call: answer, callAsync: async (name, args) => [answer(name, args)[0], 0] };
  replaceLibc(recorder);
  const restore = (): void => replaceLibc(undefined);
  try {
    const result = use({ calls });
    if (!(result instanceof Promise)) restore();
    else return result.finally(restore) as T;
    return result;
  } catch (error) {
    restore();
    throw error;
  }
};
