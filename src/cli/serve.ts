/** `cellwall`: the server. The tools over the sessions, and the wire before them. */
import { allTools, tools } from '../../tools/index.ts';
import type { Config } from '../config.ts';
import { log } from '../log.ts';
import { createDispatch } from '../server/dispatch.ts';
import { closeWire, serveStdio, takeStdio, type Ending } from '../server/stdio.ts';
import { contextsOf } from './contexts.ts';
import type { Surroundings } from './index.ts';
import { buildStack, goInside } from './stack.ts';
import { VERSION } from './version.ts';

/** Serves one client on stdin and stdout until it is gone; resolves with the exit code. */
export const serve = async (config: Config, surroundings: Surroundings): Promise<number> => {
  const initialContexts = contextsOf(config, surroundings);
  const found = await goInside(surroundings, { config, initialContexts });
  const wire = takeStdio();
  const ended = Promise.race([untilTerminated(), untilMistaken()]);
  let clientRoots: Promise<readonly string[]> = Promise.resolve([]);
  const contexts = async () => contextsOf(config, surroundings, await clientRoots);
  const stack = await buildStack(found, { config, maxSandboxes: config.maxSandboxes, contexts, initialContexts });
  const onRoots = (roots: Promise<readonly string[]>): void => {
    clientRoots = roots;
  };
  const dispatch = createDispatch(config.allowApply ? allTools : tools, { sessions: stack.sessions, principal: 'stdio' });
  const { toolResults, dottedNames, clientProcessId } = config;
  const ending = await serveStdio({ dispatch, wire, info: stack.info, version: VERSION, toolResults, dottedNames, clientProcessId, until: ended, onRoots });
  await stack.close();
  await closeWire(wire);
  return ending.exitCode;
};

// The default action would end the server before it has ended its sandboxes in order; they would end all the same (runtime/gvisor/init.ts).
const untilTerminated = (): Promise<Ending> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.once(signal, () => {
        log.info({ signal }, 'asked to end');
        resolve({ reason: signal, exitCode: 0 });
      });
    }
  });

/** What the end in order may take after a mistake, in `ms`: then the process ends as it is, and its sandboxes with it. */
const MISTAKEN_END_MS = 10_000;

// An error that nobody caught is a mistake of ours: what the server knows may be wrong now, so that it ends everything instead of going on.
const untilMistaken = (): Promise<Ending> =>
  new Promise((resolve) => {
    process.on('uncaughtException', (error, origin) => {
      log.fatal({ err: error, origin }, 'a mistake in the server: it ends its sandboxes and itself');
      setTimeout(() => process.exit(1), MISTAKEN_END_MS).unref();
      resolve({ reason: 'a mistake in the server', exitCode: 1 });
    });
  });
