import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { sandboxId } from './schema.ts';

export default defineTool({
  name: 'sandbox.destroy',
  title: 'Destroy a sandbox',
  description:
    'Ends a sandbox and all that is in it, commands and files. Nothing can be had back: read what is needed first. Use it when the work is done; doing it twice is no error.',
  effect: 'destructive',
  input: z.strictObject({ sandbox_id: sandboxId }),
  output: z.strictObject({ destroyed: z.literal(true) }),
  show: () => 'destroyed: its processes, files and mounts are gone',
  run: async ({ sandbox_id }, { sessions, principal }) => {
    await sessions.destroy(sandbox_id, principal);
    return { destroyed: true as const };
  },
});
