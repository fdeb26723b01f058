/** pid 1, and the environment of every program after it. */
import type { Policy } from '../policy/profile.ts';
import type { Placement } from './placement.ts';
import type { Capabilities, Capability, Process, Rlimit } from './spec.ts';

/** uid and gid of `agent` inside. */
export const AGENT_ID = 1000;
export const AGENT_HOME = '/home/agent';

/**
 * pid 1 starts as the agent, because a user namespace that maps 1000 alone knows no other id, and makes itself uid 0 without any capability,
 * so that the agent cannot signal it. What every other program is, an exec says.
 */
export const processOf = (policy: Policy, { init, env }: Placement): Process => ({
  terminal: false,
  user: { uid: AGENT_ID, gid: AGENT_ID, umask: 0o022 },
  args: init,
  env: Object.entries(programEnvironment(policy, env)).map(([name, value]) => `${name}=${value}`),
  cwd: '/',
  capabilities: capabilitiesOf(INIT_CAPABILITIES),
  rlimits: rlimitsOf(policy),
  noNewPrivileges: true,
});

/** What a program sees as its environment: ours, then the policy's, then the request's; later wins. Nothing of the server's own. */
export const programEnvironment = (policy: Policy, request: Readonly<Record<string, string>>): Record<string, string> => ({
  PATH: [...policy.rootfs.toolchains.map(({ path }) => `${path}/bin`), ...PATH].join(':'),
  HOME: AGENT_HOME,
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'xterm-256color',
  ...policy.env.vars,
  ...request,
});

const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Setting its ids and emptying its bounding set: all that pid 1 does with them, once. */
const INIT_CAPABILITIES: readonly Capability[] = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];

// Inheritable and ambient too: without them a uid other than 0 loses the rest at execve (man 7 capabilities).
const capabilitiesOf = (held: readonly Capability[]): Capabilities => ({ bounding: held, effective: held, permitted: held, inheritable: held, ambient: held });

const rlimitsOf = ({ limits }: Policy): Rlimit[] => [
  // cargo, node and watchers open thousands of files; programs that close every number up to the limit stay quick.
  fixed('RLIMIT_NOFILE', 65_536),
  // A fork bomb is stopped per user too, where no cgroup counts.
  fixed('RLIMIT_NPROC', limits.pids),
  // Locked pages cannot be reclaimed.
  fixed('RLIMIT_MEMLOCK', 65_536),
  // A core file holds whatever secret its program held.
  fixed('RLIMIT_CORE', 0),
];

const fixed = (type: Rlimit['type'], value: number): Rlimit => ({ type, soft: value, hard: value });
