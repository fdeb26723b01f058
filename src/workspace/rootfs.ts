/** What a sandbox shows of the host's programs, or of another root file system's. */
import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';

/** where programs lie besides /usr: links into it on most systems, directories of their own on some */
const ROOTFS_NAMES = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

/** Where programs lie in a root file system, by name below its root; `link` where that is a link to be made again. */
export const partsOf = (rootfs: string): readonly { name: string; source: string; link: boolean }[] =>
  ROOTFS_NAMES.map((name) => ({ name, source: join(rootfs === 'host' ? '/' : rootfs, name) }))
    .filter(({ source }) => existsSync(source))
    .map((part) => ({ ...part, link: lstatSync(part.source).isSymbolicLink() }));
