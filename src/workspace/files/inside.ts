/** What only a sandbox sees (`/proc`, `/sys`, `/dev`, pipes and sockets that programs made), read by commands that run in it as `agent`. What they print is as hostile as the files. */
import { isUtf8 } from 'node:buffer';
import { readContent, type FileResult, type ImageResult, type Source, type Window } from './content.ts';
import type { OtherResult } from './door.ts';
import { listEntries, type DirectoryResult, type ListedEntry } from './listing.ts';
import { bytesOf, type ByteString } from '../names.ts';
import { notFound } from '../paths.ts';
import { shownMode, shownSize, shownTime, typeOf, type FileType } from '../status.ts';

/**
 * Runs a command in the sandbox as `agent`, its program looked for in PATH, without stdin. It ends by a deadline, because a sandbox can make any
 * command hang; `stdout` is what it printed, byte for byte, or at least the first 400 000 bytes of it.
 */
export type Inside = (argv: string[]) => Promise<{ readonly code: number | null; readonly stdout: Buffer }>;

/** most that is read of a file, and of a listing as `find` prints it, in `bytes` */
const MOST_READ = 400_000;
/** most text of one answer in `bytes` */
const MOST_SHOWN = 200_000;

/**
 * Reads an absolute path of the sandbox by commands in it; only regular files and directories are opened. Of a file the first 400 000
 * bytes are read, and at most 200 000 of them are given; images are not shown.
 * Throws PATH_NOT_FOUND for what is not there or `agent` may not reach, and what `inside` throws.
 */
export const readInside = async (
  inside: Inside,
  path: ByteString,
  window: Window,
  given: string,
  signal: AbortSignal,
): Promise<FileResult | ImageResult | DirectoryResult | OtherResult> => {
  const bytes = bytesOf(path);
  if (!isUtf8(bytes)) throw notFound(given, 'a name that is not UTF-8 cannot be looked for there');
  const name = bytes.toString();
  const { code, stdout } = await inside(['stat', '-L', '-c', '%f %s %Y', '--', name]);
  const status = code === 0 ? parseStatus(stdout) : null;
  if (status === null) throw notFound(given, 'there is no such file or directory');
  if (status.type === 'directory') {
    const listed = await inside(['find', `${name}/.`, '-mindepth', '1', '-maxdepth', '1', '-printf', '%f\\0%y %s %m\\0']);
    return listEntries(parseEntries(listed.stdout.subarray(0, MOST_READ)), window, given, listed.stdout.length > MOST_READ);
  }
  if (status.type !== 'file') return { type: status.type };
  const read = await inside(['head', '-c', String(MOST_READ), '--', name]);
  const shown = { ...window, encoding: window.encoding === 'auto' ? ('text' as const) : window.encoding, maxBytes: Math.min(window.maxBytes, MOST_SHOWN) };
  return readContent(sourceOf(status, read.stdout.subarray(0, MOST_READ)), shown, given, signal);
};

interface Status {
  readonly type: Exclude<FileType, 'symlink'>;
  readonly size: number;
  readonly mode: string;
  readonly mtime: string;
}

const parseStatus = (stdout: Buffer): Status | null => {
  const [, mode, size, mtime] = /^([0-9a-f]{1,8}) (\d{1,20}) (-?\d{1,20})\n$/.exec(stdout.toString('latin1', 0, 100)) ?? [];
  const bits = parseInt(mode ?? '', 16);
  const type = typeOf(bits);
  if (Number.isNaN(bits) || type === 'symlink') return null;
  return { type, size: shownSize(Number(size)), mode: shownMode(bits), mtime: shownTime(Number(mtime) * 1000) };
};

// The kernel's files have no size of their own: theirs is what was read. A window that begins below the reach lies in the bytes as a whole.
const sourceOf = ({ size, mode, mtime }: Status, bytes: Buffer): Source => ({
  read: (into, position) => bytes.copy(into, 0, position),
  reach: bytes.length < MOST_READ ? MOST_READ : MOST_READ - MOST_SHOWN - 1,
  size: Math.max(size, bytes.length),
  mode,
  mtime,
});

/** longest name that a directory holds, in `bytes` */
const NAME_MAX = 255;
const ENTRY = /^([a-zA-Z?]) (\d{1,20}) ([0-7]{1,4})$/;
const LETTERS = new Map<string | undefined, FileType>([
  ['f', 'file'],
  ['d', 'directory'],
  ['l', 'symlink'],
  ['p', 'fifo'],
  ['s', 'socket'],
]);

// What `find` printed: names and facts by turns. What has another form is passed over.
const parseEntries = (stdout: Buffer): Map<ByteString, Omit<ListedEntry, 'name'>> => {
  const words = stdout.toString('latin1').split('\0');
  const entries = new Map<ByteString, Omit<ListedEntry, 'name'>>();
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [name, facts] = words.slice(index, index + 2) as [string, string];
    const [, letter, size, mode] = ENTRY.exec(facts) ?? [];
    if (mode === undefined || name === '' || name.length > NAME_MAX || name.includes('/')) continue;
    entries.set(name, { type: LETTERS.get(letter) ?? 'device', size: shownSize(Number(size)), mode: shownMode(parseInt(mode, 8)) });
  }
  return entries;
};
