/** The patch that makes the workspace of what it was at first: whole files, as many as there is room for; what is left out is named in its last lines, which git passes over. */
import type { Change } from './changes.ts';
import { filePatch, type GitMode, type Side } from './filepatch.ts';
import { hashOf } from '../hashes.ts';
import type { ManifestEntry } from '../manifest.ts';
import { shownName, type ByteString } from '../names.ts';
import type { Originals } from './originals.ts';
import type { Pace } from '../pace.ts';
import type { Sight } from './sight.ts';
import { shownMode } from '../status.ts';
import type { Tree } from '../tree.ts';

export interface PatchOptions {
  readonly view: Tree;
  readonly originals: Originals;
  /** room in `bytes` */
  readonly most: number;
  readonly pace: Pace;
}

export interface Patch {
  readonly text: string;
  /** whether something is left out that a patch could say */
  readonly isCut: boolean;
}

/** largest file that a patch is made of, in `bytes` */
const MOST_CONTENT = 4 * 1024 * 1024;
/** how many files may turn out too large for the room that is left before the rest is not tried any more */
const MOST_MISSES = 100;

export const patchOf = async (changes: readonly Change[], { most, ...options }: PatchOptions): Promise<Patch> => {
  const parts: string[] = [];
  const leftOut: LeftOut[] = [];
  let room = most;
  let misses = 0;
  for (const change of changes) {
    const isHopeless = misses > MOST_MISSES || isSurelyTooLarge(change, room);
    const made = isHopeless ? TOO_LARGE : await changePatch(change, room, options);
    if (typeof made === 'string') {
      parts.push(made);
      room -= Buffer.byteLength(made);
    } else {
      leftOut.push({ path: change.path, ...made });
      if (made === TOO_LARGE && !isHopeless) misses++;
    }
    if (options.pace.due()) await options.pace.rest();
  }
  return { text: [...parts, ...notes(leftOut)].join(''), isCut: leftOut.some(({ isCut }) => isCut) };
};

interface Reason {
  readonly reason: string;
  /** whether a patch could say it */
  readonly isCut: boolean;
}
interface LeftOut extends Reason {
  readonly path: ByteString;
}

const TOO_LARGE: Reason = { reason: 'too large for what is left of max_bytes', isCut: true };
const TOO_LARGE_EVER: Reason = { reason: 'too large for a patch', isCut: true };
const CHANGING: Reason = { reason: 'it changed meanwhile', isCut: true };
const NO_ORIGINAL: Reason = { reason: 'what it was at first cannot be read', isCut: true };
const DIRECTORY: Reason = { reason: 'git knows no empty directories', isCut: false };

// Text cannot become shorter in a patch: no need to read what will not fit. Bytes are compressed.
const isSurelyTooLarge = ({ before, after }: Change, room: number): boolean => before === null && after !== null && !after.isBinary && after.size > room;

const changePatch = async (change: Change, room: number, { view, originals, pace }: Omit<PatchOptions, 'most'>): Promise<string | Reason> => {
  const { path, before, after } = change;
  const [old, now] = [hasContent(before) ? before : null, hasContent(after) ? after : null];
  if (old === null && now === null) return DIRECTORY;
  if (Math.max(old?.size ?? 0, now?.size ?? 0) > MOST_CONTENT) return TOO_LARGE_EVER;
  const then = old && { mode: gitMode(old), content: await originals.contentOf(path, old, MOST_CONTENT, pace) };
  if (then?.content === null) return NO_ORIGINAL;
  const next = now && { mode: gitMode(now), content: await view.contentOf(path, MOST_CONTENT) };
  if (next && (next.content === null || (await hashOf('sha256', [next.content], pace)) !== now?.sha256)) return CHANGING;
  let text = '';
  for (const [from, to] of stepsOf(change, then as Side | null, next as Side | null)) {
    const part = await filePatch(path, from, to, room - Buffer.byteLength(text), pace);
    if (part === null) return TOO_LARGE;
    text += part;
  }
  return text === '' ? { reason: `mode ${shownMode(before!.mode)} → ${shownMode(after!.mode)}, which git does not tell apart`, isCut: false } : text;
};

const hasContent = <T extends Pick<Sight, 'type'>>(entry: T | null): entry is T => entry !== null && entry.type !== 'directory';

// Another type is another thing: the old one goes and the new one comes.
const stepsOf = ({ change }: Change, before: Side | null, after: Side | null): (readonly [Side | null, Side | null])[] =>
  change === 'type_changed' && before !== null && after !== null
    ? [
        [before, null],
        [null, after],
      ]
    : [[before, after]];

const OWNER_EXECUTES = 0o100;

const gitMode = ({ type, mode }: Pick<ManifestEntry, 'type' | 'mode'>): GitMode => {
  if (type === 'symlink') return '120000';
  return (mode & OWNER_EXECUTES) === 0 ? '100644' : '100755';
};

/** most names at the end of a patch */
const MOST_NAMED = 50;

const notes = (leftOut: readonly LeftOut[]): string[] => {
  const named = leftOut.slice(0, MOST_NAMED).map(({ path, reason }) => `# not in this patch: ${shownName(path)} (${reason})\n`);
  const more = leftOut.length - named.length;
  return more > 0 ? [...named, `# not in this patch: ${more} more\n`] : named;
};
