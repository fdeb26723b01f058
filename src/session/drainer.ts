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
/** spools whose source is open, by its descriptor */
const open = new Map<Fd, Spool>();
/** among them those that are not waited for, because their follower is behind */
const paused = new Set<Spool>();
const busy = new Set<Spool>();
let running = true;

const HANDLERS: { readonly [Kind in Request['kind']]: (request: Extract<Request, { kind: Kind }>) => void } = {
  add: ({ id, source, sourceKind, path }) => {
    const spool = new Spool(source, sourceKind, path);
    spools.set(id, spool);
    if (spool.ended) return;
    open.set(source, spool);
    poll.add(source);
  },
  sync: ({ ticket, ids }) => {
    const found = ids.flatMap((id) => spools.get(id) ?? []);
    for (const spool of found) if (!paused.has(spool)) work(spool, () => spool.drain());
    port.postMessage({ ticket, snapshots: found.map((spool) => ({ ...spool.snapshot(), ended: spool.ended })) } satisfies Reply);
  },
  follow: ({ id, position }) => {
    const spool = spools.get(id);
    spool?.follow(position);
    if (spool && paused.has(spool) && !spool.isAhead) resume(spool);
  },
  forget: ({ ids }) => {
    for (const id of ids) {
      const spool = spools.get(id);
      spools.delete(id);
      if (spool) closeSource(spool);
      spool?.close();
    }
  },
  stop: () => {
    running = false;
  },
};

const work = (spool: Spool, action: () => void): void => {
  if (open.get(spool.source) !== spool) return;
  action();
  if (spool.ended) return closeSource(spool);
  busy.add(spool);
  if (spool.isAhead) pause(spool);
};

const pause = (spool: Spool): void => {
  paused.add(spool);
  poll.remove(spool.source);
};

const resume = (spool: Spool): void => {
  paused.delete(spool);
  poll.add(spool.source);
};

// A source leaves the poll before its descriptor is closed and its number used again.
const closeSource = (spool: Spool): void => {
  busy.delete(spool);
  if (open.get(spool.source) !== spool) return;
  open.delete(spool.source);
  if (!paused.delete(spool)) poll.remove(spool.source);
  closeSync(spool.source);
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
    const spool = open.get(fd);
    if (spool) work(spool, () => spool.pump());
  }
  if (ready.includes(wake)) takeRequests();
}
