/** Why namespaces may be refused here, and which setting allows them. */
import { readFileSync } from 'node:fs';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { Enclosure } from './index.ts';

/** Throws RUNTIME_UNAVAILABLE where the system refused the server's own namespaces, with the setting and how to change it. */
export const demandNamespaces = (enclosure: Enclosure): void => {
  try {
    enclosure.prove();
  } catch (error) {
    log.error({ err: error }, 'the namespaces were refused');
    const { setting, hint } = SETTINGS.find(({ file, isForbidding }) => isForbidding(read(file))) ?? OTHERWISE;
    throw new SandboxError('RUNTIME_UNAVAILABLE', `this system does not let an ordinary user make namespaces: ${setting}`, { hint, cause: error });
  }
};

interface Setting {
  readonly file: string;
  readonly isForbidding: (value: string | null) => boolean;
  readonly setting: string;
  readonly hint: string;
}

/** In the order in which they are asked: the widest first.   man 7 user_namespaces */
const SETTINGS: readonly Setting[] = [
  {
    file: '/proc/sys/user/max_user_namespaces',
    isForbidding: (value) => value === '0',
    setting: 'user.max_user_namespaces is 0',
    hint: 'sudo sysctl user.max_user_namespaces=15000 (and a line in /etc/sysctl.d/ to keep it), or run cellwall as root',
  },
  {
    file: '/proc/sys/kernel/unprivileged_userns_clone',
    isForbidding: (value) => value === '0',
    setting: 'kernel.unprivileged_userns_clone is 0 (Debian)',
    hint: 'sudo sysctl kernel.unprivileged_userns_clone=1 (and a line in /etc/sysctl.d/ to keep it), or run cellwall as root',
  },
  {
    file: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    isForbidding: (value) => value === '1',
    setting: 'kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 24.04 and later)',
    hint: 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give node an AppArmor profile with `userns,`, or run cellwall as root',
  },
];

const OTHERWISE = {
  setting: 'a seccomp filter, as containers have one, or a security module refuses it',
  hint: 'in a container start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN, or run cellwall on the host',
};

const read = (file: string): string | null => {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
};
