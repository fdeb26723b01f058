/** A thread that brings files: chunk in, rows out. The other side is helper.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import type { HelperReply } from './helper.ts';
import { laneOf, type Chunk, type LaneOptions } from './lane.ts';
import { Pace } from './pace.ts';
import { thrownOf } from './thrown.ts';

const { stopped, ...options } = workerData as LaneOptions & { stopped: Int32Array };
const port = parentPort!;
const lane = laneOf(options, new Pace({ get aborted() { return Atomics.load(stopped, 0) !== 0; } })); // prettier-ignore

const answer = async (chunk: Chunk): Promise<void> => {
  let reply: HelperReply;
  try {
    reply = { words: await lane(chunk) };
  } catch (error) {
    reply = { thrown: thrownOf(error) };
  }
  port.postMessage(reply);
};

port.on('message', (chunk: Chunk) => void answer(chunk));
port.postMessage(null);
