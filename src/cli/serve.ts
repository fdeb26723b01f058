/** `cellwall`: the server. The tools over the sessions, and the wire before them. */
import { tools } from '../../tools/index.ts';
import type { Config } from '../config.ts';
import { log } from '../log.ts';
import { createDispatch } from '../server/dispatch.ts';
import { serveStdio, takeStdio, type Ending } from '../server/stdio.ts';
import { contextsOf } from './contexts.ts';
import type { Surroundings } from './index.ts';
import { buildStack, goInside } from './stack.ts';
import { VERSION } from './version.ts';

/** Serves one client on stdin and stdout until it is gone; resolves with the exit code. */
export const serve = async (config: Config, surroundings: Surroundings): Promise<number> => {
  const initialContexts = contextsOf(config, surroundings);
  const found = await goInside(surroundings, { config, initialContexts });
  const wire = takeStdio();
  const terminated = untilTerminated();
  let clientRoots: Promise<readonly string[]> = Promise.resolve([]);
  const contexts = async () => contextsOf(config, surroundings, await clientRoots);
  const stack = await buildStack(found, { config, maxSandboxes: config.maxSandboxes, contexts, initialContexts });
  const onRoots = (roots: Promise<readonly string[]>): void => {
    clientRoots = roots;
  };
  const dispatch = createDispatch(tools, { sessions: stack.sessions, principal: 'stdio' });
  const { toolResults, dottedNames, clientProcessId } = config;
  const info = { name: 'cellwall', version: VERSION, policies: stack.sessions.policyNames, runtimes: ['gvisor'] };
  const ending = await serveStdio({ dispatch, wire, info, version: VERSION, toolResults, dottedNames, clientProcessId, until: terminated, onRoots });
  await stack.close();
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
