/** The thread that searches: one job after the other. The protocol is seekers.ts's. */
import { parentPort } from 'node:worker_threads';
import { searchTree, Stopped } from './searchtree.ts';
import type { Answer, Request } from './seekers.ts';
import { thrownOf } from '../thrown.ts';

const port = parentPort!;

const answer = ({ job, memory }: Request): Answer => {
  try {
    return { result: searchTree(job, memory) };
  } catch (error) {
    if (error instanceof Stopped) return { stopped: true };
    return { thrown: thrownOf(error) };
  }
};

port.on('message', (request: Request) => port.postMessage(answer(request)));
