/** The patch of one file in git's form, as `git apply` takes it. Pure but for its pace; git itself is never run. */
import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { base85Lines, LINE_BYTES } from './base85.ts';
import { hashOf } from '../hashes.ts';
import { hunksBetween } from './hunks.ts';
import { quotedName, shownName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';

/** A file or link on one side of a patch. */
export interface Side {
  readonly mode: GitMode;
  readonly content: Buffer;
}

/** The modes that git knows: a file, one that can be run, a link. */
export type GitMode = '100644' | '100755' | '120000';

/** The patch from one side to the other, null for a side where nothing is; `''` where git sees no difference, null where it has more than `most` bytes, or a text too many lines. */
export const filePatch = async (path: ByteString, before: Side | null, after: Side | null, most: number, pace: Pace): Promise<string | null> => {
  const [old, now] = [before?.content ?? NOTHING, after?.content ?? NOTHING];
  const body = old.equals(now)
    ? ''
    : isText(old) && isText(now)
      ? await textBody(path, before, after, most, pace)
      : await binaryBody(before, after, most, pace);
  if (body === null) return null;
  const modes = modeLines(before, after);
  const patch = body === '' && modes === '' ? '' : `diff --git ${named('a/', path)} ${named('b/', path)}\n${modes}${body}`;
  return Buffer.byteLength(patch) <= most ? patch : null;
};

const NOTHING = Buffer.alloc(0);

// A patch is a text of its own: a NUL anywhere, or what is not UTF-8, goes the binary way.
const isText = (content: Buffer): boolean => !content.includes(0) && isUtf8(content);

const modeLines = (before: Side | null, after: Side | null): string => {
  if (before === null) return `new file mode ${after!.mode}\n`;
  if (after === null) return `deleted file mode ${before.mode}\n`;
  return before.mode === after.mode ? '' : `old mode ${before.mode}\nnew mode ${after.mode}\n`;
};

const textBody = async (path: ByteString, before: Side | null, after: Side | null, most: number, pace: Pace): Promise<string | null> => {
  const hunks = await hunksBetween(textOf(before), textOf(after), most, pace);
  if (hunks === null) return null;
  return `--- ${before === null ? '/dev/null' : ended(named('a/', path))}\n+++ ${after === null ? '/dev/null' : ended(named('b/', path))}\n${hunks}`;
};

const textOf = (side: Side | null): string => side?.content.toString() ?? '';

// A name with a blank in it ends with a tab, so that nobody takes what follows the blank for a date.
const ended = (name: string): string => (name.includes(' ') ? `${name}\t` : name);

// In quotes where a reader of the header might take a part of the name for something else.
const named = (side: 'a/' | 'b/', path: ByteString): string => {
  const shown = shownName(path);
  return /["\\]/.test(shown) ? quotedName(side + path) : side + shown;
};

const compress = promisify(deflate);

/** how many compressed bytes are written in one go; whole lines */
const WRITTEN_AT_ONCE = 100 * LINE_BYTES;

// The whole new content. git takes it only with the names that both contents would have in its store.
const binaryBody = async (before: Side | null, after: Side | null, most: number, pace: Pace): Promise<string | null> => {
  const content = after?.content ?? NOTHING;
  const compressed = await compress(content);
  if (compressed.length > most) return null;
  const parts = [`index ${await blobName(before, pace)}..${await blobName(after, pace)}\nGIT binary patch\nliteral ${content.length}\n`];
  for (let at = 0; at < compressed.length; at += WRITTEN_AT_ONCE) {
    parts.push(base85Lines(compressed.subarray(at, at + WRITTEN_AT_ONCE)));
    if (pace.due()) await pace.rest();
  }
  return `${parts.join('')}\n`;
};

const blobName = async (side: Side | null, pace: Pace): Promise<string> =>
  side === null ? '0'.repeat(40) : hashOf('sha1', [Buffer.from(`blob ${side.content.length}\0`), side.content], pace);
