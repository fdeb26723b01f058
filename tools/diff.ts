import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { CHANGE_LETTERS, counted } from './format.ts';
import { sandboxId, text } from './schema.ts';

const Change = z.strictObject({
  path: z.string(),
  change: z.enum(['added', 'modified', 'deleted', 'type_changed', 'mode_changed']),
  size: z.int(),
  binary: z.boolean(),
});
const Diff = z.strictObject({ changes: z.array(Change), patch: z.string().nullable(), truncated: z.boolean(), digest: z.string() });

export default defineTool({
  name: 'sandbox.diff',
  title: 'Show what changed',
  description: 'What changed in /workspace since it was created: files, links, empty directories. Use it to review work; a patch is for `git apply`.',
  effect: 'readOnly',
  input: z.strictObject({
    sandbox_id: sandboxId,
    paths: z.array(text).exactOptional().describe('left out: all but .git'),
    format: z.enum(['summary', 'patch']).exactOptional().describe('left out: summary'),
    max_bytes: z.int().min(1).exactOptional().describe('left out: 32000'),
  }),
  output: Diff,
  show: (result) => show(result),
  run: ({ sandbox_id, ...input }, { sessions, principal, signal }) => sessions.get(sandbox_id, principal).diff(input, signal),
});

// The list, the patch, and how to go on where they are not whole. The patch itself names what is not in it.
const show = ({ changes, patch, truncated, digest }: z.output<typeof Diff>): string => {
  const lines = [
    `${changes.length === 0 ? 'no changes' : counted(changes.length, 'change')}${truncated ? ' or more' : ''}, digest ${digest}`,
    ...changes.map(describe),
  ];
  if (truncated) lines.push('truncated: go on with `paths`, or with a larger `max_bytes`');
  return patch ? `${lines.join('\n')}\n\n${patch}` : lines.join('\n');
};

const describe = ({ path, change, size, binary }: z.output<typeof Change>): string => {
  const facts = [
    ...(change === 'mode_changed' ? ['mode'] : change === 'type_changed' ? ['type'] : []),
    ...(binary ? [`binary, ${counted(size, 'byte')}`] : []),
  ];
  return `${CHANGE_LETTERS[change]} ${path}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}`;
};
