/** What serves sandboxes, put together: policies, runtimes, outputs, sessions, and the directory that they live in. Each command that needs sandboxes builds one. */
import { allTools } from '../../tools/index.ts';
import type { Config } from '../config.ts';
import { createRuntimes, locateRunsc, recover, type RuntimeOptions } from '../runtime/select.ts';
import { serveControl } from '../server/control.ts';
import { createDispatch } from '../server/dispatch.ts';
import type { JsonRpcOptions } from '../server/jsonrpc.ts';
import { systemClock } from '../session/clock.ts';
import { enterHome } from '../session/home.ts';
import { isOperator, OPERATOR } from '../session/operator.ts';
import { createOutputs } from '../session/output.ts';
import { Sessions, type Contexts } from '../session/sessions.ts';
import { buildEtc } from '../workspace/etc.ts';
import { createOverlayTrial } from '../workspace/overlay-trial.ts';
import { storeIn } from '../workspace/store/store-place.ts';
import { openSnapshots } from '../workspace/store/store.ts';
import { recoverApplies } from '../workspace/apply/undo.ts';
import { fromOutside, toInside, type Found } from './handover.ts';
import type { Surroundings } from './index.ts';
import { demandNamespaces } from './namespaces.ts';
import { policiesOf } from './policies.ts';
import { VERSION } from './version.ts';

export interface StackOptions {
  readonly config: Config;
  readonly maxSandboxes: number;
  /** where contexts may come from, asked for at each create */
  readonly contexts: () => Promise<Contexts>;
  /** the same at start, before any client has spoken: no policy is read from there */
  readonly initialContexts: Contexts;
}

/** The half outside, in the user's own namespace: a mistake in the policies is told here, before anything is served. */
export type Outside = Pick<StackOptions, 'config' | 'initialContexts'> & {
  /** judges what was found; what it throws ends the command */
  readonly judge?: (runsc: RuntimeOptions['runsc']) => void;
};

/**
 * Goes one namespace down, where sandboxes can be made, and gives what was found outside. Outside it never returns: the process comes back inside, from its first line.
 * Throws POLICY_INVALID and POLICY_UNKNOWN outside, RUNTIME_UNAVAILABLE where the system refused the namespaces.
 */
export const goInside = async ({ enclosure, env }: Surroundings, { config, initialContexts, judge = () => {} }: Outside): Promise<Found> => {
  if (enclosure.isInside) {
    const found = fromOutside(env);
    demandNamespaces(enclosure);
    return found;
  }
  policiesOf(config, initialContexts).get(config.policy);
  const uid = process.getuid!();
  const runsc = await locateRunsc({ env, cacheDir: config.cacheDir, uid });
  judge(runsc);
  return enclosure.enter(toInside({ runsc, uid }));
};

/** Sessions that are ready to create sandboxes. */
export interface Stack {
  readonly sessions: Sessions;
  /** what `server.info` answers */
  readonly info: JsonRpcOptions['info'];
  /** ends all sandboxes and removes everything */
  close(): Promise<void>;
}

/** Preconditions: inside. */
export const buildStack = async ({ runsc, uid }: Found, { config, maxSandboxes, contexts, initialContexts }: StackOptions): Promise<Stack> => {
  const home = await enterHome(config.stateDir, uid, recover);
  await recoverApplies(home.undo);
  const outputs = createOutputs();
  const runtimes = createRuntimes({ directory: home.runtime, runsc, cacheDir: config.cacheDir });
  buildEtc(home.etc);
  const store = storeIn(config.cacheDir);
  const sessions = new Sessions({
    policies: policiesOf(config, initialContexts),
    defaultPolicy: config.policy,
    maxSandboxes,
    contexts,
    home,
    runtimes,
    outputs,
    snapshots: openSnapshots(store),
    overlayTrial: createOverlayTrial(home.mounts, store),
    clock: systemClock,
    ownIds: uid === 0,
  });
  const info = infoOf(sessions);
  const operators = createDispatch(allTools, { sessions, principal: OPERATOR });
  const control = await serveControl({ directory: home.directory, dispatch: operators, info, isOperator });
  const close = async (): Promise<void> => {
    await control.close();
    await sessions.close();
    await runtimes.close();
    await outputs.close();
    await home.leave();
  };
  return { sessions, info, close };
};

const infoOf = ({ policyNames }: Sessions): JsonRpcOptions['info'] => ({ name: 'cellwall', version: VERSION, policies: policyNames, runtimes: ['gvisor'] });
