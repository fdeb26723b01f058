import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { counted } from './format.ts';
import { sandboxId, text } from './schema.ts';

const edit = z.strictObject({
  old_text: z.string().min(1).describe('exact text of the file'),
  new_text: z.string().describe('what takes its place'),
  replace_all: z.boolean().exactOptional().describe('replace every occurrence; left out: it must occur exactly once'),
});

export default defineTool({
  name: 'sandbox.write',
  title: 'Write or edit a file of a sandbox',
  description:
    'Writes a file, whole (`content`) or by exact replacements (`edits`, in order). Missing directories are made; an edit that does not match changes nothing. ' +
    'Use it instead of heredocs and sed. Writable: /workspace, /tmp, /home/agent, /dev/shm.',
  effect: 'destructive',
  input: z
    .strictObject({
      sandbox_id: sandboxId,
      path: text.min(1).describe('absolute, or relative to /workspace'),
      content: z.string().exactOptional().describe('the whole new content; left out: `edits` are applied'),
      encoding: z.enum(['text', 'base64']).exactOptional().describe('of `content`; left out: text'),
      edits: z.array(edit).min(1).exactOptional().describe('replacements in a text of up to 10 MB; left out: `content` is written'),
      mode: z
        .string()
        .regex(/^0?[0-7]{3}$/, 'three octal digits such as 755')
        .exactOptional()
        .describe('permissions of a new file, e.g. 755; left out: 644'),
      expected_sha256: z
        .string()
        .regex(/^[0-9a-fA-F]{64}$/, '64 hexadecimal digits')
        .exactOptional()
        .describe('refuse when the file is not the one with this hash; left out: no check'),
    })
    .refine(({ content, edits }) => (content === undefined) !== (edits === undefined), 'exactly one of `content` and `edits`')
    .refine(({ content, encoding }) => encoding !== 'base64' || /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(content ?? ''), '`content` in base64'),
  output: z.strictObject({ path: z.string(), size: z.int(), sha256: z.string(), created: z.boolean() }),
  show: ({ path, size, sha256, created }) => `${created ? 'created' : 'replaced'} ${path}: ${counted(size, 'byte')}, sha256 ${sha256}`,
  run: ({ sandbox_id, ...input }, { sessions, principal }) => sessions.get(sandbox_id, principal).write(input),
});
