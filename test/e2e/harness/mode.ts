/** Whom the servers of a test run as. The tests themselves stay who they are. */

export type Mode = 'root' | 'user';

/** An ordinary user that no machine's accounts name. */
const USER_ID = 4242;

const isRoot = process.getuid!() === 0;

/** From CELLWALL_TEST_AS: `root`, or `user`, an ordinary one. Left out: root where the tests are root. */
export const mode: Mode = modeOf(process.env['CELLWALL_TEST_AS']);

/** An ordinary user for spawn, whatever the mode; nothing where that is who we are. */
export const ordinaryUser = isRoot ? { uid: USER_ID, gid: USER_ID } : {};

/** The user of this mode, for files. */
export const user = mode === 'root' || !isRoot ? { uid: process.getuid!(), gid: process.getgid!() } : { uid: USER_ID, gid: USER_ID };

/** The user of this mode for spawn, which then also clears the groups; nothing where that is who we are. */
export const identity = mode === 'root' ? {} : ordinaryUser;

function modeOf(given: string | undefined): Mode {
  if (given === undefined || given === '') return isRoot ? 'root' : 'user';
  if (given !== 'root' && given !== 'user') throw new Error(`CELLWALL_TEST_AS is "${given}": expected root or user`);
  if (given === 'root' && !isRoot) throw new Error('CELLWALL_TEST_AS is "root", and these tests do not run as root');
  return given;
}
