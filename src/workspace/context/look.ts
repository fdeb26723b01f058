/** Directories read and their entries looked at, many at a time: statx one by one would cost several times as much. */
import type { Dir } from 'node:fs';
import { Batch } from '../../syscall/batch.ts';
import { AT_SYMLINK_NOFOLLOW } from '../../syscall/constants.ts';
import type { Fd } from '../../syscall/files.ts';
import type { ByteString } from '../names.ts';
import { STATX_BYTES, STATX_MASK, takeFacts, type Rows } from '../store/rows.ts';

/** names that are read from a directory, and looked at, at once */
export const NAMES_AT_ONCE = 256;
/** longest name in bytes, with a NUL and what aligns it */
const NAME_ROOM = 264;
/** man 2 statx */
const AT_NO_AUTOMOUNT = 0x800;

/** The next names of a directory, one character a byte; none at its end. */
export const nextNames = (dir: Dir): ByteString[] => {
  const names: ByteString[] = [];
  for (let item = dir.readSync(); item !== null; item = dir.readSync()) {
    names.push(item.name);
    if (names.length === NAMES_AT_ONCE) break;
  }
  return names;
};

export class Looker {
  readonly #batch = new Batch(NAMES_AT_ONCE, NAMES_AT_ONCE * (STATX_BYTES + NAME_ROOM));

  /** Looks at names of a directory, at most NAMES_AT_ONCE, without following or opening any: for each the offset of a new row with its facts, or a negative errno. */
  look(dir: Fd, names: readonly ByteString[], rows: Rows): number[] {
    const batch = this.#batch;
    batch.clear();
    const told = batch.space(STATX_BYTES * names.length);
    for (const [index, name] of names.entries()) {
      batch.add('statx', dir, batch.at(batch.text(name)), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MASK, batch.at(told + index * STATX_BYTES));
    }
    batch.run();
    return names.map((_, index) => {
      const result = batch.result(index);
      if (result < 0) return result;
      const at = rows.add();
      takeFacts(batch.words, (told + index * STATX_BYTES) >> 2, rows.words, at);
      return at;
    });
  }
}
