/** `cellwall run`: one sandbox for one command, on the streams of this process. */
import { existsSync, writeSync } from 'node:fs';
import type { Config } from '../config.ts';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { RuntimeOptions } from '../runtime/select.ts';
import type { Created, ExecResult, WaitInput } from '../session/requests.ts';
import type { Session } from '../session/session.ts';
import { implicitRootRefusal } from '../workspace/roots.ts';
import type { Line } from './commands.ts';
import { contextsOf } from './contexts.ts';
import type { Surroundings } from './index.ts';
import { parseRun, type RunRequest } from './run-line.ts';
import { relaySignals, type Relay } from './signals.ts';
import { buildStack, goInside, type Stack } from './stack.ts';
import { keyboard, openScreen, openStreams } from './streams.ts';
import { exitCodeOfSignal, verdictOn, verdictOnFailure, type Verdict } from './verdict.ts';

const PRINCIPAL = 'run';

/** Resolves with the exit code that the contract names, when everything of the sandbox is gone. */
export const run = async (config: Config, surroundings: Surroundings, line: Line): Promise<number> => {
  const request = parseRun(line, surroundings.env);
  const contexts = contextsOf(config, { cwd: surroundings.cwd, env: {} }); // what a host says of its project is said to servers
  if (contexts.default !== null) demandDirectory(contexts.default);
  const found = await goInside(surroundings, { config, initialContexts: contexts, judge: demandRunsc });
  const relay = relaySignals();
  if (contexts.default === null && config.context === undefined)
    warn(`the workspace is empty: ${implicitRootRefusal(surroundings.cwd)}, and is copied only where --context names it`);
  const stack = await buildStack(found, { config, maxSandboxes: 1, contexts: async () => contexts, initialContexts: contexts });
  let verdict: Verdict;
  try {
    verdict = await runIn(stack, withTerm(request, surroundings.env), contexts.default, relay).catch((error: unknown) => failed(error, relay));
  } finally {
    await stack.close();
  }
  if (verdict.warning !== undefined) warn(verdict.warning);
  if (verdict.failure !== undefined) tell(verdict.failure);
  return verdict.exitCode;
};

// A root that is not there allows nothing: without this the refusal would speak of roots.
const demandDirectory = (path: string): void => {
  if (existsSync(path)) return;
  throw new SandboxError('CONTEXT_NOT_FOUND', `context ${JSON.stringify(path)} was not found: there is no such directory`);
};

const demandRunsc = (runsc: RuntimeOptions['runsc']): void => {
  if ('error' in runsc) throw runsc.error;
};

const withTerm = (request: RunRequest, { TERM }: NodeJS.ProcessEnv): RunRequest => {
  const isOurs = request.isTerminal && keyboard() !== null && TERM !== undefined;
  return isOurs ? { ...request, env: { TERM, ...request.env } } : request;
};

const runIn = async ({ sessions }: Stack, request: RunRequest, context: string | null, relay: Relay): Promise<Verdict> => {
  const created = await sessions.create({ context: context ?? 'none' }, PRINCIPAL, relay.early);
  tellOf(created);
  const result = await attach(sessions.get(created.sandbox_id, PRINCIPAL), request, relay);
  relay.early.throwIfAborted();
  return verdictOn(result);
};

const attach = (session: Session, { argv, env, timeoutMs, isTerminal }: RunRequest, relay: Relay): Promise<ExecResult> => {
  const screen = isTerminal ? openScreen() : null;
  const { stdin, write, abandon } = openStreams(warn);
  const onStarted = (exec_id: string): void => {
    const act = async (action: Omit<WaitInput, 'exec_id'>): Promise<ExecResult | null> =>
      session.wait({ exec_id, wait_ms: 0, ...action }, NEVER).catch((err: unknown) => (log.debug({ err }, 'the sandbox has ended'), null));
    // A command that has ended takes no signal: what is left of it is output that nobody reads.
    relay.handOn(async (signal) => {
      const now = await act({});
      if (now?.status === 'running') await act({ signal });
      else abandon(signal);
    });
    screen?.onResize(() => act(screen.size()));
  };
  return session.attach(
    { argv: [...argv], env: { ...env }, timeout_ms: timeoutMs, tty: isTerminal, ...screen?.size() },
    { stdin, take: write, keyboard: isTerminal ? keyboard() : null, onStarted },
    relay.early,
  );
};

const NEVER = new AbortController().signal;

const failed = (error: unknown, { early }: Relay): Verdict => {
  if (early.aborted) return { exitCode: exitCodeOfSignal(String(early.reason)) };
  const verdict = verdictOnFailure(error);
  if (verdict === null) throw error;
  return verdict;
};

/** Names of what was left out that are printed. */
const NAMED = 3;

const tellOf = ({ context, warnings }: Created): void => {
  for (const warning of warnings) warn(warning);
  if (context === null || context.skipped_count === 0) return;
  const named = context.skipped.slice(0, NAMED).map(({ path, reason }) => `${path} (${reason})`);
  const others = context.skipped_count - named.length;
  warn(`left out of the copy: ${named.join(', ')}${others > 0 ? `, and ${others} more` : ''}`);
};

const warn = (message: string): void => {
  if (log.isLevelEnabled('warn')) tell(`warning: ${message}`);
};

const tell = (message: string): void => {
  try {
    writeSync(2, `cellwall: ${message}\n`);
  } catch {
    // nobody is left to be told
  }
};
