/** How results are put into words. */

/** `1 234`: a whole number with its digits in groups of three. */
export const grouped = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ' ');

/** How git names the kinds of changes. */
export const CHANGE_LETTERS = { added: 'A', modified: 'M', deleted: 'D', type_changed: 'T', mode_changed: 'M' } as const;

/** `1 file`, `12 files`. */
export const counted = (value: number, noun: string, plural = `${noun}s`): string => `${grouped(value)} ${value === 1 ? noun : plural}`;
