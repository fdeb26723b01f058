/** Text as the kernel takes it. */

/** The bytes of a text with a NUL behind them; throws a TypeError for one that holds a NUL itself, where the kernel would cut it. */
export const cString = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text);
  if (bytes.includes(0)) throw new TypeError('a text for the kernel holds a NUL byte, where it would be cut');
  return Buffer.concat([bytes, Buffer.of(0)]);
};
