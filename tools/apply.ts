import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { counted } from './format.ts';
import { sandboxId, text } from './schema.ts';

type ChangeKind = 'added' | 'modified' | 'deleted' | 'type_changed' | 'mode_changed';

/** The schema says only that it is a list, because what is listed of all tools has to be short. */
const list = z.array(z.unknown()) as unknown;

const Applied = z.strictObject({
  applied: list as z.ZodType<{ path: string; change: ChangeKind }[]>,
  flagged: list as z.ZodType<{ path: string; reason: string }[]>,
  undo: z.string().nullable(),
});

export default defineTool({
  name: 'sandbox.apply',
  title: 'Bring changes home',
  description: "Writes changes of /workspace into the user's project, all or nothing, after asking the user. Use it with the digest of a diff.",
  effect: 'destructive',
  input: z.strictObject({
    sandbox_id: sandboxId,
    digest: text,
    paths: z.array(text).exactOptional().describe('left out: all'),
  }),
  output: Applied,
  show: (result) => show(result),
  run: ({ sandbox_id, ...input }, { sessions, principal, ask, signal }) => sessions.get(sandbox_id, principal).apply(input, ask, signal),
});

const LETTERS = { added: 'A', modified: 'M', deleted: 'D', type_changed: 'T', mode_changed: 'M' } as const;

const show = ({ applied, flagged, undo }: z.output<typeof Applied>): string => {
  if (undo === null) return 'no changes: nothing was written';
  const lines = applied.map(({ path, change }) => `${LETTERS[change]} ${path}`);
  const warnings = flagged.map(({ path, reason }) => `can run code on the host: ${path} (${reason})`);
  return [`applied ${counted(applied.length, 'change')}; to take them back: cellwall apply --undo ${undo}`, ...lines, ...warnings].join('\n');
};
