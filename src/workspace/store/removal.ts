/** Trees of ours removed, whatever modes their directories have, without keeping a thread to itself. */
import { chmodSync, closeSync, lstatSync, readdirSync, rmdirSync, rmSync, type Dirent } from 'node:fs';
import { Batch } from '../../syscall/batch.ts';
import { hasCode, SyscallError } from '../../syscall/call.ts';
import { openDirectory, type Fd } from '../../syscall/files.ts';
import { bytesBelow, joinName, type ByteString } from '../names.ts';
import type { Pace } from '../pace.ts';

/** entries that are removed at once */
const AT_ONCE = 128;
const PATH_ROOM = 4104;
/** man 2 unlinkat */
const AT_REMOVEDIR = 0x200;
const ENOENT = 2;

/** Removes a file or directory of ours with all that is in it. Nobody writes there, but another may remove it at the same time. */
export const removeTree = async (path: string, pace: Pace): Promise<void> => {
  const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory();
  if (isFolder === false) rmSync(path, { force: true });
  if (isFolder !== true) return;
  const top = openDirectory(path);
  try {
    await emptyFolder(top, '', new Batch(AT_ONCE, AT_ONCE * PATH_ROOM), pace);
  } finally {
    closeSync(top);
  }
  unlessGone(() => rmdirSync(path));
};

const emptyFolder = async (top: Fd, folder: ByteString, batch: Batch, pace: Pace): Promise<void> => {
  const entries = unlessGone((): Dirent[] => {
    chmodSync(bytesBelow(top, folder), 0o700);
    return readdirSync(bytesBelow(top, folder), { withFileTypes: true, encoding: 'latin1' });
  });
  const pathOf = ({ name }: Dirent): ByteString => joinName(folder, name);
  const folders = (entries ?? []).filter((entry) => entry.isDirectory()).map(pathOf);
  for (const path of folders) await emptyFolder(top, path, batch, pace);
  await unlinkAll(top, folders, AT_REMOVEDIR, batch, pace);
  await unlinkAll(top, (entries ?? []).filter((entry) => !entry.isDirectory()).map(pathOf), 0, batch, pace); // prettier-ignore
};

const unlinkAll = async (top: Fd, paths: readonly ByteString[], flags: number, batch: Batch, pace: Pace): Promise<void> => {
  for (let start = 0; start < paths.length; start += AT_ONCE) {
    const some = paths.slice(start, start + AT_ONCE);
    batch.clear();
    for (const path of some) batch.add('unlinkat', top, batch.at(batch.text(path)), flags);
    batch.run();
    for (const call of some.keys()) if (batch.result(call) < 0 && batch.result(call) !== -ENOENT) throw new SyscallError('unlinkat', -batch.result(call));
    if (pace.due()) await pace.rest();
  }
};

/** What `act` returns; undefined when what it acts on is gone. */
const unlessGone = <T>(act: () => T): T | undefined => {
  try {
    return act();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
};
