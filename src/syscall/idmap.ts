/** User namespaces that exist for their map of ids alone, as descriptors.   man 7 user_namespaces */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { CLONE_NEWUSER } from './constants.ts';
import { programOf, sealedProgram } from './elf.ts';
import { pathOf, type Fd } from './files.ts';
import { launchCommand } from './launch.ts';
import { createPipe } from './pipe.ts';
import { reap } from './process.ts';

/** How many ids from `inside` on are which on the host. */
export interface IdRange {
  readonly inside: number;
  readonly host: number;
  readonly count: number;
}

/**
 * A user namespace with this map for users and groups; nobody lives in it, its descriptor keeps it.
 * Preconditions: we may map these ids (root may). Throws SyscallError where user namespaces are refused.
 */
export const idMapOf = async (range: IdRange): Promise<Fd> => {
  const map = `${range.inside} ${range.host} ${range.count}`;
  const gate = createPipe();
  const program = sealedProgram('cellwall-idmap', programOf([{ call: 'read', args: [0, Buffer.alloc(1), 1], restart: true }]));
  const nothing = openSync('/dev/null', 'r+');
  try {
    // The child sits in the new namespace until its maps are written and the namespace is held by a descriptor.
    const child = await launchCommand({
      path: pathOf(program),
      argv: ['cellwall'],
      env: [],
      stdio: [gate.read, nothing, nothing],
      namespaces: BigInt(CLONE_NEWUSER),
    });
    try {
      writeFileSync(`/proc/${child.pid}/uid_map`, map);
      writeFileSync(`/proc/${child.pid}/gid_map`, map);
      return openSync(`/proc/${child.pid}/ns/user`, 'r');
    } finally {
      reap(child);
    }
  } finally {
    for (const fd of [gate.read, gate.write, program, nothing]) closeSync(fd);
  }
};
