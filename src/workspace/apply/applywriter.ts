/** The writing of an apply: step by step, taken back when one fails. */
import { SandboxError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { Fd } from '../../syscall/files.ts';
import type { Plan } from './applyplan.ts';
import { Displaced, perform } from './hostwriter.ts';
import type { Journal, JournalContent } from './journal.ts';
import { shownName, type ByteString } from '../names.ts';
import { Pace } from '../pace.ts';
import { conflict } from './refusals.ts';
import { stepsOf, type Step } from './transitions.ts';
import { rollBack } from './undo.ts';

/** most names in a message */
const MOST_NAMED = 5;

/** Does all of a plan, or nothing: from here on it is finished, or taken back. Throws APPLY_CONFLICT, APPLY_REFUSED, HOST_FULL. */
export const writePlan = async (content: JournalContent, { transitions, expected }: Plan, context: Fd, journal: Journal): Promise<void> => {
  journal.write(content);
  const pace = new Pace({ aborted: false });
  const [removed, done] = [new Set<ByteString>(), new Set<ByteString>()];
  let at: Step | undefined;
  try {
    for (const step of stepsOf(transitions)) {
      at = step;
      const { path } = step.transition;
      await perform(step, removed.has(path) ? null : (expected.get(path) ?? null), { context, journal, side: 'new', pace });
      if (step.action === 'remove') removed.add(path);
      done.add(path);
    }
    journal.finish();
  } catch (error) {
    const left = (await rollBack(content, context, journal)).filter((path) => done.has(path));
    if (left.length > 0) throw brokenOf(left, journal.id, error);
    journal.remove();
    throw failureOf(error, at?.transition.path ?? '');
  }
};

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'it is read-only there',
  EBUSY: 'it is in use',
};

const failureOf = (error: unknown, path: ByteString): unknown => {
  if (error instanceof Displaced) return conflict([path], 'changed while the changes were written; everything was put back');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code))
    return new SandboxError('HOST_FULL', `nothing was written: there is no space left for ${shownName(path)}; everything was put back`, { cause: error });
  if (REASONS[code] !== undefined)
    return new SandboxError('APPLY_REFUSED', `nothing was written: ${shownName(path)} cannot be: ${REASONS[code]}; everything was put back`, {
      cause: error,
      hint: 'let the server write there, or leave it out with `paths`',
    });
  return error;
};

const brokenOf = (left: readonly ByteString[], id: string, cause: unknown): SandboxError => {
  log.error({ undo: id, left: left.length }, 'an apply that failed could not be taken back completely');
  return new SandboxError(
    'APPLY_REFUSED',
    `the changes could not be written, and of what was written this could not be put back: ${left.slice(0, MOST_NAMED).map(shownName).join(', ')}`,
    { cause, hint: `a person can run \`cellwall apply --undo ${id}\`` },
  );
};
