/** What .gitignore files say of the entries of a tree. They are as hostile as all of it: only so much of one is read, and a pattern takes linear time. */
import { compileGlob, type NameTest } from './globs.ts';
import { isAtOrBelow, type ByteString } from '../names.ts';

/** longest pattern, and most of them in one file */
const LONGEST = 256;
const MOST = 2000;

interface Rule {
  readonly matches: NameTest;
  /** whether it is about the path from the file's directory, or about the name alone */
  readonly ofPath: boolean;
  readonly onlyDirectories: boolean;
  /** false where it takes back what a rule before it said */
  readonly ignores: boolean;
}

/** The rules of one file, and those that hold where it says nothing. */
export interface Rules {
  /** directory that they are about, absolute */
  readonly place: ByteString;
  readonly rules: readonly Rule[];
  readonly above: Rules | null;
}

/** The rules of the text of a .gitignore in `place`, one character a byte, before those above. What is no pattern is passed over.   man 5 gitignore */
export const addRules = (text: string, place: ByteString, above: Rules | null): Rules => {
  const rules = text
    .replace(/^\xef\xbb\xbf/, '')
    .split('\n', MOST)
    .flatMap((line) => ruleOf(line) ?? []);
  return { place, rules: rules.reverse(), above };
};

const ruleOf = (line: string): Rule | null => {
  if (line.length > LONGEST || line.startsWith('#')) return null;
  const written = withoutSpaces(line.replace(/\r$/, ''));
  const ignores = !written.startsWith('!');
  const named = ignores ? written : written.slice(1);
  const onlyDirectories = named.endsWith('/');
  const pattern = onlyDirectories ? named.slice(0, -1) : named;
  if (pattern === '') return null;
  try {
    const matches = compileGlob(pattern.replace(/^\//, ''));
    return { matches, ofPath: pattern.includes('/'), onlyDirectories, ignores };
  } catch {
    return null;
  }
};

// Spaces at the end count only where a backslash is before them.
const withoutSpaces = (line: string): string => {
  let end = line.length;
  while (end > 0 && line[end - 1] === ' ' && line[end - 2] !== '\\') end--;
  return line.slice(0, end);
};

/** Whether the rules ignore an entry of their places, whose directory they do not ignore. The last rule that fits decides, of the deepest file that has one. */
export const isIgnored = (rules: Rules | null, path: ByteString, isDirectory: boolean): boolean => {
  const name = path.slice(path.lastIndexOf('/') + 1);
  for (let file = rules; file !== null; file = file.above) {
    const inPlace = path.slice(file.place === '/' ? 1 : file.place.length + 1);
    for (const { matches, ofPath, onlyDirectories, ignores } of file.rules) {
      if (!(onlyDirectories && !isDirectory) && matches(ofPath ? inPlace : name)) return ignores;
    }
  }
  return false;
};

/** a name that no rule is about */
const ANY_NAME = '\x01';

/** Whether the rules ignore a directory, one that holds it, or all that is in it: then whoever names it means what they ignore. */
export const isPlaceIgnored = (rules: Rules | null, place: ByteString): boolean => {
  for (let end = place.indexOf('/', 1); ; end = place.indexOf('/', end + 1)) {
    const part = end < 0 ? place : place.slice(0, end);
    if (isIgnored(rulesAbove(rules, part), part, true)) return true;
    if (end < 0) return isIgnored(rules, `${place}/${ANY_NAME}`, false) || isIgnored(rules, `${place}/${ANY_NAME}`, true);
  }
};

// The rules of the files in directories that hold `path`.
const rulesAbove = (rules: Rules | null, path: ByteString): Rules | null => {
  let file = rules;
  while (file !== null && (file.place === path || !isAtOrBelow(path, file.place))) file = file.above;
  return file;
};
