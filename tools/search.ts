import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { counted } from './format.ts';
import { sandboxId } from './schema.ts';

// Said here and not in the schema, which every model reads.
const words = (most: number) =>
  z.string().refine((value) => value !== '' && value.length <= most && !value.includes('\0'), `a string of 1 to ${most} characters without NUL bytes`);

export default defineTool({
  name: 'sandbox.search',
  title: 'Search a sandbox',
  description:
    'Finds lines by regular expression (RE2) and files by name. Passes over what .gitignore names, .git and binaries. Use it instead of `grep` and `find`.',
  effect: 'readOnly',
  input: z
    .strictObject({
      sandbox_id: sandboxId,
      pattern: words(4000).exactOptional().describe('left out: names only'),
      glob: words(1000).exactOptional().describe('*.ts, src/**/*.{c,h}, !*.md; left out: all'),
      path: words(20_000).exactOptional().describe('left out: /workspace'),
      ignore_case: z.boolean().exactOptional().describe('left out: false'),
      context_lines: z.int().min(0).max(20).exactOptional().describe('lines around a match to add to its `text`; left out: 0'),
      limit: z.int().min(1).exactOptional().describe('left out: 200 matches or files'),
      max_bytes: z.int().min(1).exactOptional().describe('left out: 16000'),
    })
    .refine(({ pattern, glob }) => pattern !== undefined || glob !== undefined, '`pattern` or `glob` or both'),
  output: z.strictObject({
    matches: z.array(z.strictObject({ path: z.string(), line: z.int(), text: z.string() })),
    files: z.array(z.string()),
    truncated: z.boolean(),
  }),
  printed: ['matches'],
  show: ({ matches, files, truncated }) => {
    const found = matches.length > 0 ? `${counted(matches.length, 'match', 'matches')} in ${counted(files.length, 'file')}` : counted(files.length, 'file');
    const count = files.length > 0 ? found : 'nothing found';
    const more = truncated ? ', truncated: narrow it down with `path` or `glob`, or raise `limit` and `max_bytes`' : '';
    return [...(matches.length > 0 ? matches.map(showMatch) : files), `${count}${more}`].join('\n');
  },
  run: ({ sandbox_id, ...input }, { sessions, principal, signal }) => sessions.get(sandbox_id, principal).search(input, signal),
});

// As grep has it; lines with others around them stand below their place.
const showMatch = ({ path, line, text: lines }: { path: string; line: number; text: string }): string =>
  lines.includes('\n') ? `${path}:${line}:\n${lines}\n--` : `${path}:${line}: ${lines}`;
