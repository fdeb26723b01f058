/**
 * The server's own directory under the state directory (decision 10 of the design): `servers/<id>`, locked for life. Made and locked under a temporary name
 * and then renamed, so that whoever finds one whose lock is free knows that its server is dead.
 */
import { closeSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { log } from '../log.ts';
import { hasCode } from '../syscall/call.ts';
import { tryLock } from '../syscall/lock.ts';
import { mountTmpfs, unmount } from '../syscall/mounts.ts';
import { newServerId } from './ids.ts';

export interface Home {
  readonly id: string;
  /** 0700 */
  readonly directory: string;
  /** what the runtimes keep, below `directory` */
  readonly runtime: string;
  /** where sandboxes' trees are mounted, in this server's mount namespace alone; a sandbox's ids can reach it */
  readonly mounts: string;
  /** where what is needed to take applies back is kept, shared by all servers of this state directory */
  readonly undo: string;
  /** an empty directory in memory, for what becomes /etc in every sandbox */
  readonly etc: string;
  /** removes everything and lets the lock go */
  leave(): Promise<void>;
}

const LOCK = 'lock';
const RECORD = 'server.json';
const RUNTIME = 'runtime';

/** Where applies are kept, by state directory. */
export const undoIn = (stateDir: string): string => join(stateDir, 'undo');

/** Makes a home for this server, and removes those of servers that are dead, after `recover` has removed what they left outside. */
export const enterHome = async (stateDir: string, uid: number, recover: (runtimeDirectory: string) => Promise<void>): Promise<Home> => {
  const servers = join(stateDir, 'servers');
  mkdirSync(servers, { recursive: true, mode: 0o700 });
  await removeDead(servers, recover);
  for (;;) {
    const id = newServerId();
    const temporary = mkdtempSync(join(servers, '.new-'));
    const lock = tryLock(join(temporary, LOCK));
    if (lock === null) continue; // somebody took it for dead
    const { mounts, forget } = uid === 0 ? rootMounts(id) : { mounts: join(servers, id, 'mounts'), forget: () => {} };
    writeFileSync(join(temporary, RECORD), JSON.stringify({ pid: process.pid, mounts }), { mode: 0o600 });
    renameSync(temporary, join(servers, id));
    mkdirSync(mounts, { recursive: true, mode: 0o711 });
    mountTmpfs(mounts, MOUNT_POINTS);
    const etc = join(mounts, 'etc');
    mkdirSync(etc);
    mountTmpfs(etc, ETC);
    const directory = join(servers, id);
    mkdirSync(join(directory, RUNTIME), { mode: 0o700 });
    return { id, directory, runtime: join(directory, RUNTIME), mounts, undo: undoIn(stateDir), etc, leave: () => leave(directory, mounts, forget, lock) };
  }
};

// The ids of root's sandboxes are nobody's: they cannot pass through a home directory that is 0700. /run is for what lives no longer than the machine.
const ROOT_MOUNTS = '/run/cellwall';

/** a directory for each sandbox, and nothing else */
const MOUNT_POINTS = { sizeMb: 1, inodes: 16_384, mode: 0o711 };
const ETC = { sizeMb: 64, inodes: 16_384, mode: 0o755 };

const leave = async (directory: string, mounts: string, forget: () => void, lock: number): Promise<void> => {
  await unmount(mounts);
  forget();
  rmSync(directory, { recursive: true, force: true });
  closeSync(lock);
};

const LOCK_SUFFIX = '.lock';

// An empty directory of the host for each server, and beside it a lock that tells whether the server lives. What dead ones left is removed on the way.
const rootMounts = (id: string): { mounts: string; forget: () => void } => {
  mkdirSync(ROOT_MOUNTS, { recursive: true, mode: 0o711 });
  for (const name of readdirSync(ROOT_MOUNTS)) if (name.endsWith(LOCK_SUFFIX)) removeMounts(join(ROOT_MOUNTS, name));
  const lockFile = join(ROOT_MOUNTS, `${id}${LOCK_SUFFIX}`);
  const lock = tryLock(lockFile);
  return {
    mounts: join(ROOT_MOUNTS, id),
    forget: () => {
      if (lock !== null) closeSync(lock);
      removeMounts(lockFile);
    },
  };
};

// The mounts went with their namespace. Nothing but an empty directory and its lock is removed here.
const removeMounts = (lockFile: string): void => {
  const lock = tryLock(lockFile);
  if (lock === null) return;
  try {
    rmSync(lockFile);
    rmdirSync(lockFile.slice(0, -LOCK_SUFFIX.length));
    rmdirSync(ROOT_MOUNTS);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTEMPTY')) log.warn({ err: error, name: basename(lockFile) }, 'a mount point could not be removed');
  } finally {
    closeSync(lock);
  }
};

const removeDead = async (servers: string, recover: (runtimeDirectory: string) => Promise<void>): Promise<void> => {
  for (const name of readdirSync(servers)) {
    const directory = join(servers, name);
    const lock = tryLock(join(directory, LOCK));
    if (lock === null) continue;
    try {
      await recover(join(directory, RUNTIME));
      // What it started may be dying yet, and leave a last file behind.
      rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
      log.info({ server: name }, 'removed what a dead server left');
    } catch (error) {
      log.warn({ err: error, server: name }, 'what a dead server left could not be removed completely: the next server tries again');
    } finally {
      closeSync(lock);
    }
  }
};
