/** Which control groups this server may use: v2 where it has the controllers, else v1, else none. Decided by what can be written, not by who we are. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Groups } from './group.ts';
import { groupsOfV1 } from './v1.ts';
import { groupsOfV2 } from './v2.ts';

/** Texts of `/proc/self/mountinfo` and `/proc/self/cgroup`. */
export interface View {
  readonly mounts: string;
  readonly own: string;
}

const ofThisProcess = (): View => ({ mounts: readFileSync('/proc/self/mountinfo', 'utf8'), own: readFileSync('/proc/self/cgroup', 'utf8') });

/** The groups of this machine, or why there are none: for a warning and for `doctor`. */
export const findGroups = (view: View = ofThisProcess()): Groups | { readonly unavailable: string } => {
  const hierarchies = hierarchiesOf(view);
  const unified = hierarchies.get('');
  if (unified && offers(unified.root, ['memory', 'pids', 'cpu'])) {
    const parent = placesAbove(unified).find((place) => isWritable(place) && isEmpty(place));
    return parent ? groupsOfV2(parent) : { unavailable: 'no control group is delegated to this user' };
  }
  const [memory, pids, cpu] = ['memory', 'pids', 'cpu'].map((controller) => hierarchies.get(controller)?.place);
  if (!memory || !pids || !cpu) return { unavailable: 'this system has no control groups for memory, pids and cpu' };
  if (![memory, pids, cpu].every(isWritable)) return { unavailable: 'the control groups of this system (cgroup v1) can be written by root only' };
  return groupsOfV1({ memory, pids, cpu, cpuacct: hierarchies.get('cpuacct')?.place ?? null });
};

interface Hierarchy {
  /** where it is mounted */
  readonly root: string;
  /** where in it this process is */
  readonly place: string;
}

/** Hierarchies by controller; '' is the unified one.   man 5 proc, /proc/[pid]/mountinfo and /proc/[pid]/cgroup */
const hierarchiesOf = ({ mounts, own }: View): ReadonlyMap<string, Hierarchy> => {
  const places = new Map(own.split('\n').flatMap((line) => ownLine(line)));
  const found = new Map<string, Hierarchy>();
  for (const line of mounts.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const root = before.split(' ')[4];
    const [type, , options = ''] = after.split(' ');
    if (root === undefined || (type !== 'cgroup' && type !== 'cgroup2')) continue;
    for (const controller of type === 'cgroup2' ? [''] : options.split(',')) {
      const path = places.get(controller);
      if (path !== undefined) found.set(controller, { root, place: existing(root, path) });
    }
  }
  return found;
};

// `4:memory:/user.slice` names a place for each of its controllers.
const ownLine = (line: string): [string, string][] => {
  const [, controllers, ...path] = line.split(':');
  return controllers === undefined ? [] : controllers.split(',').map((controller) => [controller, path.join(':')]);
};

// In a container the path is that of the host, which is not there: then the mount's root is our place.
const existing = (root: string, path: string): string => (existsSync(join(root, path)) ? join(root, path) : root);

const offers = (directory: string, controllers: readonly string[]): boolean => {
  const offered = existsSync(join(directory, 'cgroup.controllers')) ? readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ') : [];
  return controllers.every((controller) => offered.includes(controller));
};

// A group with processes of its own cannot hand controllers down; the root can.   man 7 cgroups, "no internal processes"
const isEmpty = (place: string): boolean => !existsSync(join(place, 'cgroup.type')) || readFileSync(join(place, 'cgroup.procs'), 'utf8') === '';

const placesAbove = ({ root, place }: Hierarchy): readonly string[] => {
  const places = [place];
  for (let at = place; at !== root && at.startsWith(`${root}/`);) places.push((at = dirname(at)));
  return places;
};

const isWritable = (directory: string): boolean => {
  try {
    accessSync(directory, constants.W_OK);
    accessSync(join(directory, 'cgroup.procs'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
};
