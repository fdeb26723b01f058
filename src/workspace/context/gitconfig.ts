/** Credentials in a git configuration, taken out. Pure: bytes in, bytes out; git itself is never asked, its configuration can run programs. */
import { splitName, type ByteString } from '../names.ts';

/** Whether git reads a file as configuration: `config` and `config.worktree` below a directory `.git` or `name.git`, submodules' included. */
export const isGitConfig = (path: ByteString): boolean => {
  const { folder, name } = splitName(path);
  return /^config(?:\.|$)/.test(name) && `${folder}/`.includes('.git/');
};

/**
 * The configuration without users and passwords in URLs, headers that authenticate, tokens, and credential helpers written as shell lines.
 * A file that holds none of them comes back byte for byte. `isMoved`: the git directory goes to another place than it was made for, so where
 * its work tree lies is left out too.   man 1 git-config, "CONFIGURATION FILE"
 */
export const cleanGitConfig = (content: Buffer, { isMoved }: { isMoved: boolean }): Buffer => {
  let section = '';
  const pieces = [...piecesOf(content.toString('latin1'))].map(({ kind, text, value }) => {
    if (kind === 'header') section = /^\[\s*([\w.-]*)/.exec(text)?.[1]?.toLowerCase() ?? '';
    return kind === 'entry' ? cleanEntry(text, value, section, isMoved) : cleanText(text);
  });
  return Buffer.from(pieces.join(''), 'latin1');
};

interface Piece {
  /** `header`: `[section "name"]`; `entry`: `key = value`; `other`: a blank, a comment, or what git would not read */
  readonly kind: 'header' | 'entry' | 'other';
  /** the bytes of the file; of an entry those up to its value */
  readonly text: string;
  /** the bytes of an entry's value, up to and with the end of its line */
  readonly value: string;
}

const HEADER = /\[[^\]"\n]*(?:"(?:\\[^\n]|[^"\\\n])*"[^\]"\n]*)?\]/y;
const KEY = /[a-z][a-z0-9-]*[ \t]*(?:=|(?=[\r\n]|$))/iy;
const OTHER = /\xef\xbb\xbf|\s+|[^\n]+\n?/y;

// Cuts a configuration where git's own reader does.
function* piecesOf(text: string): Generator<Piece> {
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  while (at < text.length) {
    const header = take(HEADER);
    const key = header === undefined ? take(KEY) : undefined;
    if (header !== undefined) yield { kind: 'header', text: header, value: '' };
    else if (key !== undefined) {
      const value = text.slice(at, readValue(text, at).end);
      at += value.length;
      yield { kind: 'entry', text: key, value };
    } else yield { kind: 'other', text: take(OTHER)!, value: '' };
  }
}

const ESCAPES = new Map([
  ['\n', ''],
  ['n', '\n'],
  ['t', '\t'],
  ['b', '\b'],
]);

/** Reads a value: what it means, without quotes, escapes and comment, and where its line ends. A backslash before the end of a line goes on with the next. */
const readValue = (text: string, start: number): { meaning: string; end: number } => {
  let meaning = '';
  let isQuoted = false;
  let at = start;
  for (; at < text.length && text[at] !== '\n'; at++) {
    const byte = text[at]!;
    if (byte === '"') isQuoted = !isQuoted;
    else if (byte === '\\') {
      at += text.startsWith('\r\n', at + 1) ? 2 : 1;
      const escaped = text[at] ?? '';
      meaning += ESCAPES.get(escaped) ?? escaped;
    } else if (!isQuoted && (byte === '#' || byte === ';')) {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
      break;
    } else meaning += byte;
  }
  return { meaning: meaning.trim(), end: Math.min(at + 1, text.length) };
};

const cleanEntry = (key: string, value: string, section: string, isMoved: boolean): string => {
  const name = key.replace(/[ \t]*=?$/, '').toLowerCase();
  const isShellHelper = section === 'credential' && name === 'helper' && readValue(value, 0).meaning.startsWith('!');
  const isElsewhere = isMoved && section === 'core' && (name === 'worktree' || name === 'bare');
  if (isSecretKey(name) || isShellHelper || isElsewhere) return '\n';
  const cleaned = withoutCredentials(value);
  const { meaning } = readValue(cleaned, 0);
  const wanted = withoutCredentials(meaning);
  // Quotes and escapes can hide a URL from its raw form: then the value is written anew from its meaning.
  return meaning === wanted ? key + cleaned : `${key} "${wanted.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"\n`;
};

// A comment may hold what was an entry once.
const cleanText = (text: string): string => (isSecretKey(/^[\s#;]*([\w-]+)\s*=/.exec(text)?.[1] ?? '') ? '\n' : withoutCredentials(text));

/** Keys whose values are secrets: `http.extraHeader`, `github.oauth-token`, `sendemail.smtpPass`. */
const isSecretKey = (name: string): boolean => /extraheader|token|secret|apikey|pass(?:word|wd|phrase)?$/i.test(name);

/** User and password of a URL that is the whole text, and of one in the middle of it. */
const CREDENTIALS = [/^([a-z][a-z0-9+.-]{0,30}):\/\/([^/]*)@/i, /\b([a-z][a-z0-9+.-]{0,30}):\/\/((?:\\.|[^/\s"\\])*)@/gi];

// Over ssh a user name is no secret and is needed; over everything else it may be the token itself.
const withoutCredentials = (text: string): string =>
  CREDENTIALS.reduce(
    (rest, pattern) => rest.replace(pattern, (_, scheme: string, user: string) => `${scheme}://${/ssh/i.test(scheme) ? `${user.split(':', 1)[0]}@` : ''}`),
    text,
  );
