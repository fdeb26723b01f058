/** A whole search, from its job to its result, in one go: it runs in a thread of its own (seeker.ts). */
import { SandboxError } from '../../errors.ts';
import type { Fd } from '../../syscall/files.ts';
import type { Agent } from '../files/door.ts';
import { Entries, type OpenFile } from './entries.ts';
import { Found, type SearchResult } from './found.ts';
import { choicesOf, compileGlob, type NameTest } from './globs.ts';
import { Held } from './held.ts';
import { searchLines } from './lines.ts';
import { isAtOrBelow, shownName, type ByteString } from '../names.ts';
import { WORKSPACE } from '../paths.ts';
import { compilePattern } from './pattern.ts';
import { filesBelow } from './walk.ts';

export interface SearchJob {
  /** descriptor of the sandbox's tree, and what is searched: a directory or a file, open for reading; both stay their owner's */
  readonly door: Fd;
  readonly start: OpenFile & { readonly isDirectory: boolean };
  /** where that lies in the tree, absolute */
  readonly place: ByteString;
  /** whether somebody asked for just this place */
  readonly isNamed: boolean;
  readonly agent: Agent;
  readonly pattern: string | null;
  readonly glob: string | null;
  readonly ignoreCase: boolean;
  readonly contextLines: number;
  readonly limit: number;
  readonly maxBytes: number;
}

/** The search was asked to stop before its end. */
export class Stopped extends Error {}

/** Searches until there is no more room, or everything was seen. Throws INVALID_PARAMS for a pattern or glob that is none, and Stopped. */
export const searchTree = (job: SearchJob, memory: SharedArrayBuffer): SearchResult => {
  const held = new Held(memory);
  const check = (): void => {
    if (held.isStopped) throw new Stopped();
  };
  const { start, place, limit, maxBytes } = job;
  const found = new Found({ limit, maxBytes });
  const isWanted = job.glob === null ? () => true : globTest(job.glob, job);
  const search = searchOf(job, found, check);
  if (!start.isDirectory) {
    if (isWanted(place)) search(place, start);
    return found.result;
  }
  for (const { path, open } of filesBelow({ ...job, top: start.fd, entries: new Entries(held, job.agent), held, check })) {
    if (!isWanted(path)) continue;
    const file = job.pattern === null ? null : open();
    try {
      if ((file !== null || job.pattern === null) && !search(path, file)) break;
    } finally {
      if (file !== null) held.close(file.fd);
    }
  }
  return found.result;
};

/** Looks into a file, or keeps its name where contents are not asked for. Returns false when the search is over. */
type Search = (path: ByteString, file: OpenFile | null) => boolean;

const searchOf = ({ pattern, ignoreCase, contextLines }: SearchJob, found: Found, check: () => void): Search => {
  if (pattern === null) return (path) => found.addFile(shownPath(path));
  const search = { pattern: compilePattern(pattern, ignoreCase), contextLines, check };
  return (path, file) => {
    const shown = shownPath(path);
    const isText = file === null || searchLines(file.fd, file.size, search, (match) => found.addMatch(shown, match));
    if (!isText) found.drop(shown);
    return !found.isCut;
  };
};

/** A path as results name it: relative to /workspace where it is below it. */
const shownPath = (path: ByteString): string => shownName(relativeTo(WORKSPACE, path) ?? path);

const relativeTo = (top: ByteString, path: ByteString): ByteString | null =>
  path !== top && isAtOrBelow(path, top) ? path.slice(top === '/' ? 1 : top.length + 1) : null;

// A glob without a slash is about names at any depth; one with a slash is about paths from the place that is searched, from /workspace or from /.
const globTest = (glob: string, { place, ignoreCase }: SearchJob): ((path: ByteString) => boolean) => {
  const isNegated = glob.startsWith('!');
  const written = glob.slice(isNegated ? 1 : 0).replace(/^\.\//, '');
  const pattern = written.endsWith('/') ? `${written}**` : written;
  const matches = compile(pattern.replace(/^\//, ''), ignoreCase);
  if (!pattern.includes('/')) return (path) => matches(textOf(path.slice(path.lastIndexOf('/') + 1))) !== isNegated;
  const tops = [...new Set([place, WORKSPACE, '/'])];
  return (path) => tops.some((top) => isAtOrBelow(path, top) && matches(textOf(relativeTo(top, path) ?? ''))) !== isNegated;
};

const textOf = (name: ByteString): string => (/[\x80-\xff]/.test(name) ? Buffer.from(name, 'latin1').toString() : name);

const HINT = '* and ? stay within a name, ** reaches across directories, {a,b} is a choice, [a-z] a set; \\ before a character that is meant as it stands';

const compile = (glob: string, ignoreCase: boolean): NameTest => {
  try {
    const tests = choicesOf(glob).map((choice) => compileGlob(choice, { ignoreCase }));
    return tests.length === 1 ? tests[0]! : (name) => tests.some((test) => test(name));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SandboxError('INVALID_PARAMS', `expected \`glob\` to be a pattern for names such as *.ts: ${why}`, { hint: HINT });
  }
};
