/** A file of a context that is to be brought, and what becomes of what it holds. */
import { hash } from 'node:crypto';
import type { Fd } from '../../syscall/files.ts';
import { cleanGitConfig, isGitConfig } from './gitconfig.ts';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { KIND_OF, sameCopy, setFound } from '../store/rows.ts';
import type { Judge } from './rules.ts';

/** Who owns what is copied; null leaves it to whoever copies. */
export type Owner = { readonly uid: number; readonly gid: number } | null;

export interface FileOptions {
  readonly judge: Judge;
  readonly owner: Owner;
  readonly pace: Pace;
  /** place for reading; a file that fits is read, judged and written in one go */
  readonly buffer: Buffer;
}

/** A file to be brought. */
export interface FileWork {
  /** its place within the copy */
  readonly path: ByteString;
  /** where it is: a directory, and what of `path` leads to it */
  readonly source: Fd;
  readonly place: ByteString;
  /** the directory that its copy goes to, at `path`; null: it is only read */
  readonly to: Fd | null;
  /** what may still be copied, in `bytes`: a file that has grown beyond it since the scan is not begun */
  readonly room: number;
  /** the row of a copy that is there already: one that would be the same is not written. At offset 0; null for none */
  readonly known: Uint32Array | null;
}

/**
 * More than the kernel's tick, in `ms`: times of a file are as coarse, so a younger change cannot be told from the next one. A file that
 * changes is waited for as long, each time longer by as much.
 */
export const TICK_MS = 20;

/** Judges all that a file holds and says so in its row: the content that is to be written, null where nothing is. */
export const judgeWhole = (work: FileWork, found: Buffer, judge: Judge, words: Uint32Array, at: number): Buffer | null => {
  if (judge.byContent(work.path, found) !== null) {
    setFound(words, at, KIND_OF.secret, 0, '');
    return null;
  }
  const isCleaned = isGitConfig(work.path) && !judge.isIncluded(work.path);
  const content = isCleaned ? cleanGitConfig(found, { isMoved: work.place !== '' }) : found;
  setFound(words, at, KIND_OF.file, content.length, hash('sha256', content, 'binary'));
  return work.to === null || (work.known !== null && sameCopy(work.known, 0, words, at)) ? null : content;
};
