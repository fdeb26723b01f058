/** What a scan comes to when all of its files are brought: the rows of a table, and counts and digest of them. */
import { createHash } from 'node:crypto';
import type { ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';
import { copySizeOf, ctimeMsOf, FRESH, KIND_OF, kindOf, modeOf, ROW_WORDS, setFlags, sha256Of } from './rows.ts';
import type { Scan } from '../context/scan.ts';
import type { Table, TableHead } from './table.ts';

/**
 * The rows of a scan, in its order, when all of its files are brought: without what is gone or could not be read. What changed at `freshMs` or later,
 * in `ms` since 1970, is marked as too young to tell a further change.
 */
export const rowsOf = ({ entries, rows }: Pick<Scan, 'entries' | 'rows'>, freshMs: number): Pick<Table, 'paths' | 'words'> => {
  const kept = entries.filter(({ at }) => {
    const kind = kindOf(rows.words, at);
    return kind !== KIND_OF.unknown && kind !== KIND_OF.unreadable && kind !== KIND_OF['mount point'];
  });
  const words = new Uint32Array(kept.length * ROW_WORDS);
  for (const [index, { at, type }] of kept.entries()) {
    const to = index * ROW_WORDS;
    for (let word = 0; word < ROW_WORDS; word++) words[to + word] = rows.words[at + word]!;
    setFlags(words, to, type !== 'directory' && ctimeMsOf(words, to) >= freshMs ? FRESH : 0);
  }
  return { paths: kept.map(({ path }) => path), words };
};

/** Counts and digest of rows: equal for trees with equal paths, types, modes and contents, whatever their times. */
export const summaryOf = async (paths: readonly ByteString[], words: Uint32Array, pace: Pace): Promise<Pick<TableHead, 'files' | 'bytes' | 'digest'>> => {
  const digest = createHash('sha256');
  let [files, bytes] = [0, 0];
  let lines = '';
  for (const [row, path] of paths.entries()) {
    const at = row * ROW_WORDS;
    const kind = kindOf(words, at);
    if (kind === KIND_OF.directory) lines += `directory ${modeOf(words, at).toString(8)} -\0${path}\0`;
    else if (kind === KIND_OF.symlink) lines += `link 0 ${sha256Of(words, at)}\0${path}\0`;
    else if (kind === KIND_OF.file) {
      lines += `file ${modeOf(words, at).toString(8)} ${sha256Of(words, at)}\0${path}\0`;
      bytes += copySizeOf(words, at);
    } else continue;
    if (kind !== KIND_OF.directory) files++;
    if (lines.length < LINES_AT_ONCE) continue;
    digest.update(lines, 'latin1');
    lines = '';
    if (pace.due()) await pace.rest();
  }
  return { files, bytes, digest: digest.update(lines, 'latin1').digest('hex') };
};

/** characters that are hashed in one go */
const LINES_AT_ONCE = 16 * 1024;
