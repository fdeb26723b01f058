/** What is to become of entries of the host, and in which order. Pure: applying changes and taking them back are the same list, read in both directions. */
import type { EntryType } from '../manifest.ts';
import { foldersAbove, type ByteString } from '../names.ts';

/** What an entry is; what it holds is kept beside the list. JSON. */
export interface State {
  readonly type: EntryType;
  /** permission bits, without setuid and setgid */
  readonly mode: number;
  /** in hex: of a file's content, of a link's target, of nothing for a directory */
  readonly sha256: string;
  /** of what was there before: whose it was, and its time in `ns` since 1970 */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly mtimeNs?: string;
}

export interface Transition {
  /** within the context, one character a byte */
  readonly path: ByteString;
  readonly from: State | null;
  readonly to: State | null;
  /** a directory that goes or stays with what it holds: one that is not empty is left where it is */
  readonly isOptional?: true;
}

export interface Step {
  readonly action: 'remove' | 'put';
  readonly transition: Transition;
  /** of the transition in its list, by which its contents are found */
  readonly index: number;
}

/**
 * The order of a list that is sorted by path: what must make way for something of another kind, with all that is in it; then everything that is put,
 * directories before what they hold; what is deleted last.
 */
export const stepsOf = (transitions: readonly Transition[]): readonly Step[] => {
  const crossing = new Set(transitions.filter(isCrossing).map(({ path }) => path));
  const makesWay = ({ path, to }: Transition): boolean => crossing.has(path) || (to === null && foldersAbove(path).some((folder) => crossing.has(folder)));
  const stepped = transitions.map((transition, index) => ({ transition, index, isEarly: makesWay(transition) }));
  const steps = (action: Step['action'], some: typeof stepped): Step[] => some.map(({ transition, index }) => ({ action, transition, index }));
  return [
    ...steps('remove', stepped.filter(({ isEarly, transition }) => isEarly && transition.from !== null).toReversed()),
    ...steps('put', stepped.filter(({ transition }) => transition.to !== null)),
    ...steps('remove', stepped.filter(({ isEarly, transition }) => !isEarly && transition.to === null).toReversed()),
  ]; // prettier-ignore
};

const isCrossing = ({ from, to }: Transition): boolean => from !== null && to !== null && (from.type === 'directory') !== (to.type === 'directory');

/** The same in the other direction. */
export const reversed = (transitions: readonly Transition[]): readonly Transition[] => transitions.map((one) => ({ ...one, from: one.to, to: one.from }));

/** Whether two states are the same as far as an entry shows it: a link has no mode, what a directory holds are entries of their own. */
export const isSame = (a: State | null, b: State | null): boolean => {
  if (a === null || b === null) return a === b;
  return a.type === b.type && (a.type === 'directory' || a.sha256 === b.sha256) && (a.type === 'symlink' || a.mode === b.mode);
};
