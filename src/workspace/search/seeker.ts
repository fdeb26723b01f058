/** The thread that searches: one job after the other. The protocol is seekers.ts's. */
import { parentPort } from 'node:worker_threads';
import { SandboxError } from '../../errors.ts';
import { searchTree, Stopped } from './searchtree.ts';
import type { Answer, Request } from './seekers.ts';

const port = parentPort!;

const answer = ({ job, memory }: Request): Answer => {
  try {
    return { result: searchTree(job, memory) };
  } catch (error) {
    if (error instanceof Stopped) return { stopped: true };
    if (error instanceof SandboxError) return { refusal: { code: error.code, message: error.message, hint: error.hint } };
    return { failure: error instanceof Error ? error : new Error(String(error)) };
  }
};

port.on('message', (request: Request) => port.postMessage(answer(request)));
