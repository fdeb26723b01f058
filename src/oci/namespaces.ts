/** What the sandbox has of its own. */
import type { Placement } from './placement.ts';
import { AGENT_ID } from './process.ts';
import type { IdMapping, Linux, Namespace } from './spec.ts';

/**
 * The namespaces, and the ids of the host behind those inside. With ids the runtime's own processes and every program are nobody on the host;
 * without, the server is in a user namespace already and the spec names none. The network namespace is a new, empty one: policies know no other mode.
 */
export const namespacesOf = ({ ids }: Placement): Pick<Linux, 'namespaces' | 'uidMappings' | 'gidMappings'> => {
  if (ids === null) return { namespaces: OWN };
  const mappings: readonly IdMapping[] = [
    { containerID: 0, hostID: ids.root, size: 1 },
    { containerID: AGENT_ID, hostID: ids.agent, size: 1 },
  ];
  return { namespaces: [...OWN, { type: 'user' }], uidMappings: mappings, gidMappings: mappings };
};

const OWN: readonly Namespace[] = [{ type: 'pid' }, { type: 'network' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }];
