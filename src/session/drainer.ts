/**
 * The thread that empties the pipes of all running commands into files (decision 8 of the design): it waits in epoll, moves bytes inside the kernel,
 * and answers the server in between. What commands write never passes through JavaScript. The protocol is output.ts's.
 */
import { closeSync, readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Poll } from '../syscall/epoll.ts';
import type { Fd } from '../syscall/files.ts';
import type { Reply, Request } from './output.ts';
import { Spool } from './spool.ts';

/** How long a stream is silent until its file is brought into its final form. */
const IDLE_MS = 20;

const wake = (workerData as { wake: Fd }).wake;
const port = parentPort!;
const poll = new Poll();
const spools = new Map<number, Spool>();
const byPipe = new Map<Fd, Spool>();
const busy = new Set<Spool>();

let running = true;

const HANDLERS: { readonly [Kind in Request['kind']]: (request: Extract<Request, { kind: Kind }>) => void } = {
  add: ({ id, pipe, path }) => {
    const spool = new Spool(pipe, path);
    spools.set(id, spool);
    byPipe.set(pipe, spool);
    poll.add(pipe);
  },
  sync: ({ ticket, ids }) => {
    const found = ids.map((id) => spools.get(id)!);
    for (const spool of found) work(spool, () => spool.drain());
    port.postMessage({ ticket, snapshots: found.map((spool) => spool.snapshot()) } satisfies Reply);
  },
  forget: ({ ids }) => {
    for (const id of ids) {
      const spool = spools.get(id);
      spools.delete(id);
      if (spool) discard(spool);
    }
  },
  stop: () => {
    running = false;
  },
};

// A stream that comes to its end leaves the poll before its descriptor is closed and its number used again.
const work = (spool: Spool, action: () => void): void => {
  if (byPipe.get(spool.pipe) !== spool) return;
  action();
  busy.add(spool);
  if (spool.ended) discard(spool);
};

const discard = (spool: Spool): void => {
  busy.delete(spool);
  if (byPipe.get(spool.pipe) !== spool) return;
  byPipe.delete(spool.pipe);
  poll.remove(spool.pipe);
  closeSync(spool.pipe);
};

const takeRequests = (): void => {
  readSync(wake, Buffer.alloc(8));
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
    const request = next.message as Request;
    (HANDLERS[request.kind] as (request: Request) => void)(request);
  }
};

poll.add(wake);
while (running) {
  const ready = poll.wait(busy.size > 0 ? IDLE_MS : -1);
  if (ready.length === 0) {
    for (const spool of busy) spool.compact();
    busy.clear();
  }
  for (const fd of ready) {
    const spool = byPipe.get(fd);
    if (spool) work(spool, () => spool.pump());
  }
  if (ready.includes(wake)) takeRequests();
}
