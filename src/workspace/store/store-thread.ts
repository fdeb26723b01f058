/** The thread that does the store's errands, several at a time. The other side is store-desk.ts. */
import { parentPort } from 'node:worker_threads';
import type { Ask, Reply } from './store-desk.ts';
import { perform } from './store-errands.ts';
import { thrownOf } from '../thrown.ts';

const port = parentPort!;
const running = new Map<number, AbortController>();

const answer = async ({ ticket, kind, request }: Extract<Ask, { request: object }>): Promise<void> => {
  const controller = new AbortController();
  running.set(ticket, controller);
  const reply = (message: Omit<Reply, 'ticket'>): void => port.postMessage({ ticket, ...message });
  try {
    reply({ result: await perform(kind, request, controller.signal, (progress) => reply({ progress })) });
  } catch (error) {
    reply({ thrown: thrownOf(error) });
  } finally {
    running.delete(ticket);
  }
};

port.on('message', (ask: Ask) => {
  if (ask.kind === 'cancel') running.get(ask.ticket)?.abort();
  else void answer(ask);
});
