/** `cellwall`: the server. Here everything is put together: configuration, policies, runtime, sessions, tools, wire. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tools } from '../../tools/index.ts';
import type { Config } from '../config.ts';
import { log } from '../log.ts';
import { loadPolicies, type Policies } from '../policy/load.ts';
import { createRuntimes, locateRunsc, recover } from '../runtime/select.ts';
import { createDispatch } from '../server/dispatch.ts';
import { serveStdio, takeStdio, type Ending } from '../server/stdio.ts';
import { systemClock } from '../session/clock.ts';
import { enterHome } from '../session/home.ts';
import { createOutputs } from '../session/output.ts';
import { Sessions } from '../session/sessions.ts';
import { buildEtc } from '../workspace/etc.ts';
import { contextsOf } from './contexts.ts';
import { fromOutside, toInside, type Found } from './handover.ts';
import type { Surroundings } from './index.ts';
import { demandNamespaces } from './namespaces.ts';
import { PACKAGE_DIRECTORY, VERSION } from './version.ts';

/** Serves one client on stdin and stdout until it is gone; resolves with the exit code. The first half runs in the user's own namespace, the second inside. */
export const serve = async (config: Config, surroundings: Surroundings): Promise<number> => {
  const { enclosure, env } = surroundings;
  if (enclosure.isInside) return serveInside(config, surroundings, fromOutside(env));
  policiesOf(config, surroundings).get(config.policy); // a mistake in them is told before anything is served
  const runsc = await locateRunsc({ env, cacheDir: config.cacheDir, uid: process.getuid!() });
  return enclosure.enter(toInside({ runsc, uid: process.getuid!() }));
};

const serveInside = async (config: Config, surroundings: Surroundings, { runsc, uid }: Found): Promise<number> => {
  demandNamespaces(surroundings.enclosure);
  const wire = takeStdio();
  const terminated = untilTerminated();
  const home = await enterHome(config.stateDir, uid, recover);
  const outputs = createOutputs();
  const runtimes = createRuntimes({ directory: home.runtime, runsc, cacheDir: config.cacheDir });
  buildEtc(home.etc);
  let clientRoots: Promise<readonly string[]> = Promise.resolve([]);
  const sessions = new Sessions({
    policies: policiesOf(config, surroundings),
    defaultPolicy: config.policy,
    maxSandboxes: config.maxSandboxes,
    contexts: async () => contextsOf(config, surroundings, await clientRoots),
    home,
    runtimes,
    outputs,
    clock: systemClock,
    ownIds: uid === 0,
  });
  const onRoots = (roots: Promise<readonly string[]>): void => {
    clientRoots = roots;
  };
  const dispatch = createDispatch(tools, { sessions, principal: 'stdio' });
  const { toolResults, dottedNames, clientProcessId } = config;
  const ending = await serveStdio({ dispatch, wire, version: VERSION, toolResults, dottedNames, clientProcessId, until: terminated, onRoots });
  await sessions.close();
  await runtimes.close();
  await outputs.close();
  await home.leave();
  return ending.exitCode;
};

const policiesOf = (config: Config, surroundings: Surroundings): Policies =>
  loadPolicies({
    shippedDirectory: join(fileURLToPath(PACKAGE_DIRECTORY), 'policies'),
    directory: config.policies,
    floorFile: config.floor,
    allowedRoots: contextsOf(config, surroundings).allowed.roots,
  });

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
