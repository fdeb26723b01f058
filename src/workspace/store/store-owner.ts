/** Whose the files of the store are. */
import type { Owner } from '../context/filework.ts';

/** Who `agent` is, where it is not the user who runs the server: what root stores is shown to sandboxes by a map of ids. */
const AGENT = { uid: 1000, gid: 1000 };

/** The owner of what is stored; null: whoever stores it. */
export const storedAs = (): Owner => (process.geteuid?.() === 0 ? AGENT : null);
