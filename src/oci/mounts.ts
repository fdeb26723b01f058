/** What the runtime mounts itself. The rootfs, /etc, /workspace, /tmp, /home/agent, /run/cellwall and the policy's binds are mounts of the root tree on the host. */
import type { Placement } from './placement.ts';
import type { Mount } from './spec.ts';

export const mountsOf = ({ shm }: Placement): Mount[] => [
  { destination: '/proc', type: 'proc', source: 'proc', options: [...NO_PRIVILEGE, 'noexec'] },
  // The tmpfs of the host, so that its size is the policy's and the host reads the same files.
  { destination: '/dev/shm', type: 'bind', source: shm, options: ['bind', 'rw', ...NO_PRIVILEGE, 'noexec'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro', ...NO_PRIVILEGE, 'noexec'] },
];

/** No setuid bit counts and no device opens, on any mount. */
const NO_PRIVILEGE = ['nosuid', 'nodev'];
