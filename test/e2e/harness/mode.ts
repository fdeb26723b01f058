/** Whom the servers of a test run as. The tests themselves stay who they are. */

export type Mode = 'root' | 'user';

/** An ordinary user that no machine's accounts name. */
const USER_ID = 4242;

const isRoot = process.getuid!() === 0;

/** From CELLWALL_TEST_AS: `root`, or `user`, an ordinary one. Left out: root where the tests are root. */
export const mode: Mode = modeOf(process.env['CELLWALL_TEST_AS']);

/** The user of this mode, for spawn (which also clears the groups then) and for files. */
export const user = mode === 'root' ? { uid: 0, gid: 0 } : isRoot ? { uid: USER_ID, gid: USER_ID } : { uid: process.getuid!(), gid: process.getgid!() };

/** What spawn is given to run a program as that user; nothing when it is who we are. */
export const identity = user.uid === process.getuid!() ? {} : user;

function modeOf(given: string | undefined): Mode {
  if (given === undefined || given === '') return isRoot ? 'root' : 'user';
  if (given !== 'root' && given !== 'user') throw new Error(`CELLWALL_TEST_AS is "${given}": expected root or user`);
  if (given === 'root' && !isRoot) throw new Error('CELLWALL_TEST_AS is "root", and these tests do not run as root');
  return given;
}
