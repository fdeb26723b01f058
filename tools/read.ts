import { z } from 'zod';
import { defineTool, type Block } from '../src/tool.ts';
import { counted, grouped } from './format.ts';
import { sandboxId, text } from './schema.ts';

const FileText = z.strictObject({
  type: z.literal('file'),
  content: z.string(),
  encoding: z.enum(['text', 'base64']),
  size: z.int(),
  total_lines: z.int().nullable(),
  offset: z.int(),
  lines: z.int(),
  truncated: z.boolean(),
  mode: z.string(),
  mtime: z.string(),
});
const Directory = z.strictObject({
  type: z.literal('directory'),
  entries: z.array(z.strictObject({ name: z.string(), type: z.string(), size: z.int(), mode: z.string() })),
  truncated: z.boolean(),
});
const Image = z.strictObject({ type: z.literal('image'), mime_type: z.string(), content: z.string() });
const Other = z.strictObject({ type: z.enum(['fifo', 'device', 'socket']) });

export default defineTool({
  name: 'sandbox.read',
  title: 'Read a file or directory of a sandbox',
  description:
    'Reads a file, lists a directory or shows an image (PNG, JPEG, GIF, WebP). The first line tells what it is and how much follows, then comes the content. ' +
    'Use it instead of `cat` and `ls`; go on in a long file with `offset`.',
  effect: 'readOnly',
  input: z.strictObject({
    sandbox_id: sandboxId,
    path: text.min(1).describe("absolute, or relative to /workspace; the project's own path means its copy"),
    offset: z.int().min(1).exactOptional().describe('first line of a file or entry of a directory, from 1; left out: 1'),
    limit: z.int().min(1).exactOptional().describe('how many lines or entries; left out: 400'),
    encoding: z
      .enum(['auto', 'text', 'base64'])
      .exactOptional()
      .describe('base64: the bytes of any file; text refuses binary; left out: auto, which also shows images'),
    max_bytes: z.int().min(1).exactOptional().describe('how much of a file to return; left out: 32000'),
  }),
  output: z.discriminatedUnion('type', [FileText, Directory, Image, Other]),
  shownOnly: ['content'],
  show: (result) => show(result),
  run: ({ sandbox_id, ...input }, { sessions, principal, signal }) => sessions.get(sandbox_id, principal).read(input, signal),
});

type Result = z.output<typeof FileText> | z.output<typeof Directory> | z.output<typeof Image> | z.output<typeof Other>;

const show = (result: Result): string | readonly Block[] => {
  switch (result.type) {
    case 'file':
      return `${fileFacts(result)}\n${result.content}`;
    case 'directory':
      return [directoryFacts(result), ...result.entries.map(({ name, type, size, mode }) => `${mode} ${type} ${size} ${name}`)].join('\n');
    case 'image':
      return [
        { type: 'text', text: `image, ${result.mime_type}, ${counted(Buffer.byteLength(result.content, 'base64'), 'byte')}` },
        { type: 'image', data: result.content, mimeType: result.mime_type },
      ];
    default:
      return `${result.type}: it exists and is not opened`;
  }
};

// `file, 1 234 bytes, lines 1–400 of 612, truncated: go on with offset 401`
const fileFacts = ({ size, encoding, offset, lines, total_lines, truncated }: z.output<typeof FileText>): string => {
  const facts = ['file', counted(size, 'byte')];
  if (encoding === 'base64') facts.push('base64');
  else if (lines > 0) facts.push(`lines ${offset}–${offset + lines - 1}${total_lines === null ? '' : ` of ${grouped(total_lines)}`}`);
  else facts.push(total_lines === null ? 'no lines here' : `no lines here, ${grouped(total_lines)} in all`);
  if (truncated) facts.push(encoding === 'text' && lines > 0 ? `truncated: go on with offset ${offset + lines}` : 'truncated');
  return facts.join(', ');
};

const directoryFacts = ({ entries, truncated }: z.output<typeof Directory>): string =>
  `directory, ${counted(entries.length, 'entry', 'entries')}${truncated ? ', truncated: go on with a larger offset' : ''}`;
