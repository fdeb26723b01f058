import { z } from 'zod';
import { defineTool } from '../src/tool.ts';
import { sandboxId } from './schema.ts';

export default defineTool({
  name: 'sandbox.destroy',
  title: 'Destroy a sandbox',
  description: 'Ends a sandbox with its commands and files; nothing can be had back. Use it when the work is done; twice is no error.',
  effect: 'destructive',
  input: z.strictObject({ sandbox_id: sandboxId }),
  output: z.strictObject({ destroyed: z.literal(true) }),
  show: () => 'destroyed: its processes, files and mounts are gone',
  run: async ({ sandbox_id }, { sessions, principal }) => {
    await sessions.destroy(sandbox_id, principal);
    return { destroyed: true as const };
  },
});
