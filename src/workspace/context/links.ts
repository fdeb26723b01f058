/** Which symbolic links of a context are kept. Pure: what a link means is read from its text, nothing is followed. */
import { posix } from 'node:path';
import { isAtOrBelow, type ByteString } from '../names.ts';

/** Places that mean the same inside a sandbox as on the host. */
const SYSTEM_PLACES = /^\/(?:usr|bin|lib[^/]*|opt|etc\/alternatives)\/./;

/**
 * Whether a link stays within what the sandbox sees: it leads to a place in the context, or below a system directory. Whether something is
 * there does not matter. `context` is the context's canonical path on the host, `path` the link's place within it.
 */
export const isLinkKept = (context: ByteString, path: ByteString, target: ByteString): boolean => {
  const place = posix.resolve(context, posix.dirname(path), target);
  if (SYSTEM_PLACES.test(place)) return true;
  return target.startsWith('/') ? isAtOrBelow(place, context) : !leaves(posix.dirname(path), target);
};

// A relative link that climbs above the context leaves it, even when it comes back by name: inside, that name is another place.
const leaves = (folder: ByteString, target: ByteString): boolean => {
  const place = posix.join(folder, target);
  return place === '..' || place.startsWith('../');
};
