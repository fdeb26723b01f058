/** Text of a sandbox on a person's terminal: nothing in it is a command to the terminal, or looks like what it is not. Pure. */

/** Characters that a terminal obeys or that hide or turn others: controls but for newline and tab, formats, separators of lines. */
const OBEYED = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text with each of them as `<U+001B>`. */
export const plainText = (text: string): string => text.replace(OBEYED, (one) => `<U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}>`);

/** The same of a text that is one line. */
export const plainLine = (text: string): string => plainText(text).replaceAll(/[\n\t]/g, (one) => (one === '\n' ? '<U+000A>' : '<U+0009>'));
