/**
 * How the store of snapshots lies on the disk, and who may do what in it:
 *
 *     <store>/<key>/            one context under one set of rules
 *       lock                    held by who takes a snapshot or removes something; its time is that of the last use
 *       current                 id of the newest state
 *       <id>/                   a state: published by a rename when it is finished, never changed in what it shows
 *         files/                its layer
 *         state                 on which other states it stands; held (shared) by who uses it
 *         table                 what all its layers come to
 *       .new-…                  being made; of a dead process when the lock is free
 *     <store>/.old-…            being removed, by whoever comes to it
 *     <store>/trial/            a layer that overlay-trial.ts tries overlays with
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { isAtOrBelow } from '../names.ts';
import type { ContextRules } from '../context/rules.ts';

/** Where the store is. */
export const storeIn = (cacheDir: string): string => join(cacheDir, 'snapshots');

/** Raised with every change to what is copied of a context or how it lies in the store: what was stored before is not used any more. */
const FORMAT = 1;

/** Prefixes of what is being made and being removed. */
export const NEW_PREFIX = '.new-';
const OLD_PREFIX = '.old-';
export const newName = (prefix: string): string => `${prefix}${randomBytes(6).toString('hex')}`;

/** Whether a name is that of something that is being made or removed. */
export const isTemporary = (name: string): boolean => name.startsWith(NEW_PREFIX) || name.startsWith(OLD_PREFIX);

/** Name of the layer for trials. */
export const TRIAL = 'trial';

/** Takes a directory of the store out of everybody's sight, in one moment: what is in it is removed later. */
export const putAside = (store: string, path: string): void => renameSync(path, join(store, newName(OLD_PREFIX)));

/** The directory of a context's snapshots: by its canonical path, and what the policy leaves out of it or asks for. */
export const keyOf = (context: string, { exclude, include }: Pick<ContextRules, 'exclude' | 'include'>): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, context, exclude, include]))
    .digest('hex')
    .slice(0, 24);

/** Makes the store. Throws an Error when it belongs to somebody else: who can write there decides what sandboxes see. */
export const makeStore = (store: string): void => {
  mkdirSync(store, { recursive: true, mode: 0o700 });
  const stats = lstatSync(store);
  if (!stats.isDirectory() || stats.uid !== process.geteuid?.() || (stats.mode & 0o077) !== 0) {
    throw new Error(`the store of snapshots at ${store} is not used: expected a directory of user ${process.geteuid?.()} alone (mode 0700) — remove it`);
  }
};

/** What a state says about itself. */
export interface StateFacts {
  /** ids of the states whose layers lie under its own, the uppermost first */
  readonly below: readonly string[];
  /** what it takes on the disk by itself, about, in `bytes` */
  readonly bytes: number;
}

/** What the state in a directory says; null for what is no state. */
export const readState = (state: string): StateFacts | null => {
  try {
    return JSON.parse(readFileSync(join(state, 'state'), 'utf8')) as StateFacts;
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return null;
    throw error;
  }
};

/** Id of the newest state of a key; null for none. */
export const readCurrent = (key: string): string | null => {
  try {
    const id = readFileSync(join(key, 'current'), 'utf8');
    return /^[0-9a-f]+$/.test(id) ? id : null;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
};

/** Makes a state the newest one of a key that is held: from one moment to the next. */
export const writeCurrent = (key: string, id: string): void =>
  replaceFile(join(key, 'current'), (path) => writeFileSync(path, id, { flag: 'wx', mode: 0o600 }));

/** Puts a file that `write` makes into the place of another, from one moment to the next. */
export const replaceFile = (path: string, write: (temporary: string) => void): void => {
  const temporary = join(path, '..', newName(NEW_PREFIX));
  write(temporary);
  renameSync(temporary, path);
};

/** Throws CONTEXT_REFUSED for a context, by its canonical path, that lies in the store. */
export const refuseStore = (context: string, store: string): void => {
  if (!isAtOrBelow(context, realpathSync(store))) return;
  throw new SandboxError('CONTEXT_REFUSED', 'the context is refused: it lies where snapshots of contexts are kept');
};
