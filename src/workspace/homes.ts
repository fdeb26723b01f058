/** The home directories of this machine, as far as files tell: users from the network are known by `HOME` and by `/home`. */
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';

const FIRST_PERSON_ID = 1000;
const LAST_PERSON_ID = 60_000;

/** Canonical paths of the homes of root, of people, and of whoever runs the server; never `/`. */
export const homeDirectories = (): string[] => {
  const homes = [homedir, () => '/root'].flatMap((home) => readable(() => [realpathSync(home())], []));
  return [...new Set([...homes, ...homesOfAccounts(), ...homesByPlace('/home')])].filter((home) => home !== '/');
};

const homesOfAccounts = (): string[] => {
  const accounts = readable(() => readFileSync('/etc/passwd', 'utf8').split('\n'), []);
  return accounts.flatMap((account) => {
    const [, , uid, , , home] = account.split(':');
    const isOurs = Number(uid) === process.getuid?.() || (Number(uid) >= FIRST_PERSON_ID && Number(uid) <= LAST_PERSON_ID);
    return isOurs && home?.startsWith('/') === true ? readable(() => [realpathSync(home)], []) : [];
  });
};

// The place itself holds homes, whether or not they are there now. Only links are followed: to look at each home would mount it, where homes are mounted on demand.
const homesByPlace = (place: string): string[] => {
  const top = readable(() => realpathSync(place), place);
  const entries = readable(() => readdirSync(top, { withFileTypes: true }), []);
  const follow = (path: string): string => readable(() => realpathSync(path), path);
  return [top, ...entries.map((entry) => (entry.isSymbolicLink() ? follow(`${top}/${entry.name}`) : `${top}/${entry.name}`))];
};

/** What `read` returns, or `otherwise` for what cannot be read. */
const readable = <T>(read: () => T, otherwise: T): T => {
  try {
    return read();
  } catch {
    return otherwise;
  }
};
