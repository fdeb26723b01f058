/** Bytes as git writes them into a patch: base 85, 52 bytes a line, the first letter of a line its length. Pure.   man 5 gitformat-patch has no word of it; base85.c in git does */

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
/** bytes of a line */
export const LINE_BYTES = 52;

/** The lines, each with its end. */
export const base85Lines = (bytes: Buffer): string => {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) lines.push(lineOf(bytes.subarray(at, at + LINE_BYTES)));
  return lines.join('');
};

const lineOf = (bytes: Buffer): string => {
  const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  bytes.copy(padded);
  let line = letterOf(bytes.length);
  for (let at = 0; at < padded.length; at += 4) line += wordOf(padded.readUInt32BE(at));
  return `${line}\n`;
};

// A to Z for 1 to 26, a to z for 27 to 52.
const letterOf = (length: number): string => String.fromCharCode(length <= 26 ? 64 + length : 70 + length);

const wordOf = (word: number): string => {
  let digits = '';
  for (let rest = word, count = 0; count < 5; count++, rest = Math.floor(rest / 85)) digits = DIGITS[rest % 85]! + digits;
  return digits;
};
