/** Reads a block of tables as the launch code does, from the layout at the top of stub-x64.S and not from the code that writes it. */

export interface Entry {
  readonly address: bigint;
  readonly number: bigint;
  /** six registers */
  readonly args: readonly bigint[];
  readonly flags: bigint;
  /** place that also receives the result, or 0 */
  readonly forward: bigint;
}

const LISTS = { child: 8, before: 24, after: 40 } as const;
const ENTRY_SIZE = 80;

/** The unsigned word at an offset. */
export const wordAt = (bytes: Buffer, offset: number): bigint => bytes.readBigUInt64LE(offset);

/** The entries of one of the three lists of a block that lies at `base`. */
export const entriesOf = (bytes: Buffer, base: bigint, list: keyof typeof LISTS): readonly Entry[] => {
  const start = Number(wordAt(bytes, LISTS[list]) - base);
  return Array.from({ length: Number(wordAt(bytes, LISTS[list] + 8)) }, (_, index) => {
    const at = start + index * ENTRY_SIZE;
    return {
      address: base + BigInt(at),
      number: wordAt(bytes, at),
      args: [8, 16, 24, 32, 40, 48].map((offset) => wordAt(bytes, at + offset)),
      flags: wordAt(bytes, at + 56),
      forward: wordAt(bytes, at + 72),
    };
  });
};

/** The NUL-terminated text at an absolute address. */
export const stringAt = (bytes: Buffer, base: bigint, address: bigint): string => {
  const start = Number(address - base);
  return bytes.toString('utf8', start, bytes.indexOf(0, start));
};

/** The texts of a null-terminated array of pointers. */
export const listAt = (bytes: Buffer, base: bigint, address: bigint): readonly string[] => {
  const texts: string[] = [];
  for (let at = Number(address - base); wordAt(bytes, at) !== 0n; at += 8) texts.push(stringAt(bytes, base, wordAt(bytes, at)));
  return texts;
};
