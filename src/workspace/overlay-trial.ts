/** Whether an overlay is a file system as programs expect it here, on this kernel, over the file system of the store: tried once, not concluded from versions. */
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { log } from '../log.ts';
import { SyscallError } from '../syscall/call.ts';
import { mountTmpfs, unmount } from '../syscall/mounts.ts';
import { idMapTo, mountWorkspace, type MountUpper } from './overlay.ts';
import { storedAs } from './store/store-owner.ts';
import { makeStore, replaceFile, TRIAL } from './store/store-place.ts';

export interface TrialResult {
  /** why workspaces cannot be overlays of what the store holds, without a path of the host; null: they can */
  readonly flaw: string | null;
  /** whether a directory of a layer below can be renamed as it is */
  readonly renamesFolders: boolean;
}

export type OverlayTrial = () => Promise<TrialResult>;

/** The answer is found at the first question, and logged when it is no. */
export const createOverlayTrial = (mounts: string, store: string, mountUpper?: MountUpper): OverlayTrial => {
  let answer: Promise<TrialResult> | undefined;
  return () =>
    (answer ??= tryOverlay(join(mounts, TRIAL), store, mountUpper).then(
      (renamesFolders) => ({ flaw: null, renamesFolders }),
      (error: unknown) => {
        log.warn({ err: error }, 'an overlay does not work here');
        return { flaw: flawOf(error), renamesFolders: false };
      },
    ));
};

const flawOf = (error: unknown): string => (error instanceof TrialError || error instanceof SyscallError ? error.message : 'the log of the server says why');

/**
 * Mounts an overlay below `place`, which must not be there, and does what programs do. Throws what goes wrong; nothing is left.
 * Resolves with whether it renames directories from below.
 */
export const tryOverlay = async (place: string, store: string, mountUpper?: MountUpper): Promise<boolean> => {
  const owner = storedAs() === null ? { uid: process.geteuid!(), gid: process.getegid!() } : { uid: TRIAL_ID, gid: TRIAL_ID };
  const idMap = await idMapTo(owner.uid);
  mkdirSync(place, { mode: 0o700 });
  try {
    mountTmpfs(place, { sizeMb: 1, inodes: 64, mode: 0o700 });
    const target = join(place, 'target');
    mkdirSync(target);
    mountWorkspace({ place, target, layers: [makeLayer(store)], size: { sizeMb: 1, inodes: 256 }, owner, idMap, mountUpper });
    for (const [claim, holds] of Object.entries(CLAIMS)) demand(claim, () => holds(target, owner.uid));
    if (idMap !== null) demand(MOVES, () => renameFolder(target));
    return idMap !== null;
  } finally {
    if (idMap !== null) closeSync(idMap);
    await unmount(place);
    rmdirSync(place);
  }
};

/** an id of the host that is nobody's */
const TRIAL_ID = 0x7000_0001;

class TrialError extends Error {}

const demand = (claim: string, holds: () => boolean): void => {
  let code = '';
  try {
    if (holds()) return;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    code = ` (${String(error.code)})`; // the message of node:fs names paths
  }
  throw new TrialError(`what does not hold: ${claim}${code}`);
};

// The same for all servers, and never changed.
const makeLayer = (store: string): string => {
  makeStore(store);
  const layer = join(store, TRIAL);
  const folders = [layer, ...['removed', 'removed/below', 'moved'].map((name) => join(layer, name))];
  for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o755 });
  const files = ['appended', 'removed/file', 'moved/file'].map((name) => join(layer, name));
  for (const file of files) if (!existsSync(file)) replaceFile(file, (path) => writeFileSync(path, 'lower\n', { flag: 'wx' }));
  const owner = storedAs();
  if (owner !== null) for (const path of [...folders, ...files]) chownSync(path, owner.uid, owner.gid);
  return layer;
};

/** Each with a part of the layer for itself. */
const CLAIMS: Readonly<Record<string, (target: string, uid: number) => boolean>> = {
  'what lies below belongs to who may write it': (target, uid) => statSync(join(target, 'appended')).uid === uid,
  'a file from below is written to, and keeps what it held': (target) => {
    appendFileSync(join(target, 'appended'), 'upper\n');
    chmodSync(join(target, 'appended'), 0o600);
    return readFileSync(join(target, 'appended'), 'utf8') === 'lower\nupper\n' && statSync(join(target, 'appended')).mode % 0o1000 === 0o600;
  },
  'a file from below is renamed': (target) => {
    renameSync(join(target, 'appended'), join(target, 'renamed'));
    return !existsSync(join(target, 'appended')) && readFileSync(join(target, 'renamed'), 'utf8') === 'lower\nupper\n';
  },
  'a directory from below is removed, and made again without what it held': (target) => {
    rmSync(join(target, 'removed'), { recursive: true });
    mkdirSync(join(target, 'removed'));
    return readdirSync(join(target, 'removed')).length === 0;
  },
};

const MOVES = 'a directory from below is renamed with what it holds';
const renameFolder = (target: string): boolean => {
  renameSync(join(target, 'moved'), join(target, 'elsewhere'));
  return !existsSync(join(target, 'moved')) && readFileSync(join(target, 'elsewhere/file'), 'utf8') === 'lower\n';
};
