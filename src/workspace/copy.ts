/** The bytes of a scanned context, brought into a directory of ours. */
import { createHash } from 'node:crypto';
import { chmodSync, lchownSync, mkdirSync, symlinkSync } from 'node:fs';
import { setTimes, type Fd } from '../syscall/files.ts';
import type { Entry, LeftOut } from './entry.ts';
import { copyFile, type FileOptions, type Owner } from './filecopy.ts';
import { OpenFolder } from './folders.ts';
import { bytesBelow, bytesOf, splitName, type ByteString } from './names.ts';
import type { Pace } from './pace.ts';
import type { Judge } from './rules.ts';

export interface CopyOptions {
  readonly judge: Judge;
  readonly owner: Owner;
  /** most content that is copied, in `bytes`; a tree that has grown beyond it since the scan is CONTEXT_REFUSED */
  readonly maxBytes: number;
  readonly pace: Pace;
}

/** What was copied, and what only its content or the attempt to read it left out. */
export interface Copied {
  /** files and links */
  readonly files: number;
  /** content of the files in `bytes` */
  readonly bytes: number;
  /** SHA-256 over type, mode, content (or link target) and path of each entry in the scan's order, in hex */
  readonly digest: string;
  readonly leftOut: readonly LeftOut[];
}

/** files up to this size are read in one go, larger ones in pieces of it; in `bytes` */
const BUFFER_BYTES = 512 * 1024;

/**
 * Copies what a scan found into an empty directory that nobody else writes meanwhile. Throws CONTEXT_REFUSED for what does not hold still,
 * CANCELED, and the errors of writing as they are. Directories get their modes and times last: until then they are ours alone.
 */
export const copyEntries = async (entries: readonly Entry[], destination: Fd, { judge, owner, maxBytes, pace }: CopyOptions): Promise<Copied> => {
  const leftOut: LeftOut[] = [];
  const digest = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  const [from, to] = [new OpenFolder(), new OpenFolder()];
  let [files, bytes] = [0, 0];
  const note = (type: string, mode: number, content: string, path: ByteString): void => {
    digest.update(`${type} ${mode.toString(8)} ${content}\0${path}\0`, 'latin1');
  };
  try {
    for (const entry of entries) {
      if (pace.due()) await pace.rest();
      const { folder, name } = splitName(entry.path);
      const into = to.at(destination, folder);
      if (entry.type === 'directory') {
        mkdirSync(bytesBelow(into, name), 0o700);
        note('directory', entry.facts.mode, '-', entry.path);
      } else if (entry.type === 'link') {
        copyLink(entry, into, name, owner);
        note('link', 0, createHash('sha256').update(entry.target, 'latin1').digest('hex'), entry.path);
        files++;
      } else {
        const options: FileOptions = { judge, owner, pace, buffer, room: maxBytes - bytes };
        const result = await copyFile(entry, from, into, options);
        if (typeof result === 'object') {
          note('file', result.mode, result.sha256, entry.path);
          files++;
          bytes += result.size;
        } else if (result !== 'gone') leftOut.push({ path: entry.path, reason: result });
      }
    }
  } finally {
    from.close();
    to.close();
  }
  await finishFolders(entries, destination, owner, pace);
  return { files, bytes, digest: digest.digest('hex'), leftOut };
};

const copyLink = ({ target, facts }: Entry, into: Fd, name: ByteString, owner: Owner): void => {
  symlinkSync(bytesOf(target), bytesBelow(into, name));
  if (owner !== null) lchownSync(bytesBelow(into, name), owner.uid, owner.gid);
  setTimes(into, bytesOf(name), facts.mtimeNs, facts.mtimeNs);
};

// After all that is made in them, which changes their times, and which a mode may forbid.
const finishFolders = async (entries: readonly Entry[], destination: Fd, owner: Owner, pace: Pace): Promise<void> => {
  for (const { type, path, facts } of entries) {
    if (type !== 'directory') continue;
    if (pace.due()) await pace.rest();
    if (owner !== null) lchownSync(bytesBelow(destination, path), owner.uid, owner.gid);
    chmodSync(bytesBelow(destination, path), facts.mode);
    setTimes(destination, bytesOf(path), facts.mtimeNs, facts.mtimeNs);
  }
};
