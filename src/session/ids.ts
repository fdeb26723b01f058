/** Names that nobody can guess, and ids of the host that only one sandbox has. */
import { randomInt } from 'node:crypto';
import { customAlphabet } from 'nanoid';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Handle of a sandbox towards its principal: 24 characters of 36, 124 bits. */
const handle = customAlphabet(ALPHABET, 24);
/** Name of a sandbox towards its runtime, which every user of the host can read in a process list; so it is not the handle. */
const key = customAlphabet(ALPHABET, 12);
const undoTail = customAlphabet(ALPHABET, 7);
const execId = customAlphabet(ALPHABET, 12);

export const newSandboxId = (): string => `sb_${handle()}`;
export const newSandboxKey = (): string => `cw-${key()}`;
export const newServerId = (): string => key();
/** Of an apply, for its undo: later ones are sorted after earlier ones. */
export const newUndoId = (): string => `${Date.now().toString(36).padStart(9, '0')}${undoTail()}`;
export const newExecId = (): string => `ex_${execId()}`;

/** First of the ids that systemd leaves unused (0x70000000 to 0x7ffffffe), and how many pairs there are. */
const FIRST_ID = 0x7000_0000;
const PAIRS = 0x0800_0000 - 1;

export interface HostIds {
  /** what uid 0 inside is on the host */
  readonly root: number;
  /** what uid 1000 inside is */
  readonly agent: number;
}

/** A pair that no sandbox in `taken` has. Servers draw independently: that two draw the same of 2^27 is as good as excluded. */
export const newHostIds = (taken: ReadonlySet<number>): HostIds => {
  for (;;) {
    const root = FIRST_ID + 2 * randomInt(PAIRS);
    if (!taken.has(root)) return { root, agent: root + 1 };
  }
};
