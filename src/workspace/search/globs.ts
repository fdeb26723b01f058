/**
 * Patterns for names, as gitignore and ripgrep have them. Names and patterns of a tree are hostile, and libraries make a backtracking expression of a pattern:
 * here all ways through a pattern are gone at once, so a test takes time in proportion to its length times that of the name, and no memory. Pure.
 */

/** Says whether a whole name or path matches; only `**` reaches beyond a slash. */
export type NameTest = (name: string) => boolean;

/** One step of a pattern: the code of a character, one of the steps below, or the number of a set of characters, counted down from FIRST_SET. */
type Step = number;
/** `?`: any character of a name */
const ANY = -1;
/** `*`: any characters of a name */
const STAR = -2;
/** `**` at the end: any characters */
const ALL = -3;
/** what follows may be passed over */
const MAYBE = -4;
/** with MAYBE before it `**` and its slash: any characters up to a slash */
const FOLDERS = -5;
const FIRST_SET = -6;
const SLASH = 0x2f;

interface Steps {
  readonly steps: readonly Step[];
  /** the sets of characters: whether one holds the character of a code */
  readonly sets: readonly ((code: number) => boolean)[];
}

/** The test that a pattern stands for. Throws an Error that says what is wrong with it. */
export const compileGlob = (glob: string, { ignoreCase = false } = {}): NameTest => {
  const ending = /^\*([^*?[\\/]+)$/.exec(glob)?.[1];
  if (ending !== undefined && !ignoreCase) return (name) => name.endsWith(ending) && !name.includes('/');
  if (!/[*?[\\]/.test(glob) && !ignoreCase) return (name) => name === glob;
  const program = stepsOf(ignoreCase ? glob.toLowerCase() : glob);
  const end = String.fromCodePoint(...program.steps.slice(program.steps.findLastIndex((step) => step < 0) + 1));
  return (given) => {
    const name = ignoreCase ? given.toLowerCase() : given;
    return name.endsWith(end) && walk(program, name);
  };
};

/** The words of a pattern: stars, with the slash after them; an escaped character; a set; any other character. */
const WORD = /\*\*+\/?|\\[^]|\[[!^]?\]?(?:\[:[a-z]+:\]|\\[^]|[^\]\\])*\]|[^]/gu;

const stepsOf = (glob: string): Steps => {
  const steps: Step[] = [];
  const sets: Steps['sets'][number][] = [];
  for (const { 0: word, index } of glob.matchAll(WORD)) {
    const isWhole = (glob[index - 1] ?? '/') === '/';
    if (word === '[') throw new Error('a [ is not closed');
    if (word.startsWith('**') && isWhole && word.endsWith('/')) steps.push(MAYBE, FOLDERS);
    else if (word.startsWith('**') && isWhole && index + word.length === glob.length) steps.push(ALL);
    else if (word.startsWith('*')) steps.push(STAR, ...(word.endsWith('/') ? [SLASH] : []));
    else if (word === '?') steps.push(ANY);
    else if (word.length > 2 && word.startsWith('[')) steps.push(FIRST_SET + 1 - sets.push(setOf(word)));
    else steps.push(word.replace(/^\\(?=[^])/u, '').codePointAt(0)!);
  }
  return { steps, sets };
};

const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[a-z0-9]/i,
  alpha: /[a-z]/i,
  blank: /[ \t]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9a-f]/i,
};

// A set never holds the slash.
const setOf = (word: string): Steps['sets'][number] => {
  const isNegated = /^\[[!^]/.test(word);
  const named = [...word.matchAll(/\[:([a-z]+):\]/g)].map(([, name]) => CLASSES[name!] ?? /(?!)/);
  const inner = word.slice(isNegated ? 2 : 1, -1).replace(/\[:[a-z]+:\]/g, '');
  const ranges = [...inner.matchAll(/(\\[^]|[^])-(\\[^]|[^])|\\?([^])/gu)].map(([, from, to, one]) =>
    [from ?? one!, to ?? one!].map((edge) => edge.replace(/^\\(?=[^])/u, '').codePointAt(0)!),
  );
  const holds = (code: number): boolean =>
    ranges.some(([from, to]) => from! <= code && code <= to!) || named.some((expression) => expression.test(String.fromCodePoint(code)));
  return (code) => code !== SLASH && holds(code) !== isNegated;
};

// Where in the pattern one may be after each character of the name: at these steps, from `first` to `last`. What may be passed over
// lies before what follows it, so that one sweep finds all.
const walk = ({ steps, sets }: Steps, name: string): boolean => {
  const length = steps.length;
  let here = new Uint8Array(length + 2);
  let next = new Uint8Array(length + 2);
  let first = 0;
  let last = 0;
  here[0] = 1;
  for (const character of name) {
    const code = character.codePointAt(0)!;
    let at = first;
    let end = last;
    first = length;
    last = -1;
    for (; at <= end && at < length; at++) {
      if (here[at] === 0) continue;
      here[at] = 0;
      const step = steps[at]!;
      if (step === STAR || step === ALL || step === MAYBE) {
        here[at + 1] = 1;
        if (step === MAYBE) here[at + 2] = 1;
        end = Math.max(end, at + (step === MAYBE ? 2 : 1));
      }
      const stays = step === ALL || step === FOLDERS || (step === STAR && code !== SLASH);
      if (stays) next[at] = 1;
      const goesOn =
        step >= 0 ? step === code : step === ANY ? code !== SLASH : step === FOLDERS ? code === SLASH : step <= FIRST_SET && sets[FIRST_SET - step]!(code);
      if (goesOn) next[at + 1] = 1;
      if (stays || goesOn) {
        first = Math.min(first, at);
        last = at + 1;
      }
    }
    if (last < 0) return false;
    here[length] = here[length + 1] = 0;
    const done = here;
    here = next;
    next = done;
  }
  for (let at = first; at < length; at++) {
    if (here[at] === 1 && (steps[at] === STAR || steps[at] === ALL)) here[at + 1] = 1;
    if (here[at] === 1 && steps[at] === MAYBE) here[at + 2] = 1;
  }
  return here[length] === 1;
};

/** most patterns that one with choices stands for */
const MOST_CHOICES = 512;
const BRACE_WORD = /\\[^]|\[[!^]?\]?(?:\\[^]|[^\]\\])*\]|[^]/gu;

/** The patterns that one with choices in braces stands for: `a.{c,h}` for `a.c` and `a.h`. Throws an Error where a brace is not closed, or they are too many. */
export const choicesOf = (glob: string): string[] => {
  const open: { before: string[]; done: string[] }[] = [];
  let current = [''];
  for (const [word] of glob.matchAll(BRACE_WORD)) {
    const inner = open.at(-1);
    if (word === '{') {
      open.push({ before: current, done: [] });
      current = [''];
    } else if (inner && (word === ',' || word === '}')) {
      inner.done.push(...current);
      current = word === ',' ? [''] : inner.before.flatMap((start) => inner.done.map((end) => start + end));
      if (word === '}') open.pop();
    } else current = current.map((start) => start + word);
    if (current.length > MOST_CHOICES || (inner?.done.length ?? 0) > MOST_CHOICES) throw new Error(`it has more than ${MOST_CHOICES} choices`);
  }
  if (open.length > 0) throw new Error('a { is not closed');
  return current;
};
