/** `cellwall demo`: the real server, a real MCP client before it, and a story in which every claim is checked before it is told. */
import { cpSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { Config } from '../config.ts';
import { STEPS, type Stage } from './demo-steps.ts';
import { listen } from './listener.ts';
import { createNarrator, type Narrator, type Screen } from './narrator.ts';
import { runSetup } from './setup.ts';
import { placesOf } from './traces.ts';
import { PACKAGE_DIRECTORY, VERSION } from './version.ts';

/** Where the demo speaks, and whose environment its server gets. */
export interface DemoIo {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Tells the story and resolves with the exit code: 0 when every claim held, 1 when one did not, 128 + n when signal n stopped it.
 * Leaves nothing behind but runsc in the cache, which is set up first where there is none. Throws what runSetup throws.
 */
export const demo = async (config: Config, io: DemoIo = process): Promise<number> => {
  const tell = createNarrator(io.stdout, io.env);
  tell.title('gVisor, which runs the sandboxes');
  await runSetup(config.cacheDir, io);
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-demo-')));
  const stop = watchSignals();
  const log = { end: '' };
  try {
    await tellStory(config, io.env, tell, { place, signal: stop.signal, log });
  } catch (error) {
    if (stop.signal.aborted) return Number(stop.signal.reason);
    tell.claim(false, `the story goes on: ${error instanceof Error ? error.message : String(error)}`);
    tell.answer(`the log of the server ends with:\n${log.end}`);
  } finally {
    stop.forget();
    rmSync(place, { recursive: true, force: true });
  }
  return summary(tell);
};

/** Characters of the server's log that are shown when something fails. */
const LOG_TAIL = 2000;

interface Backstage {
  /** temporary directory of this demo */
  readonly place: string;
  /** ends the server and with it the story */
  readonly signal: AbortSignal;
  /** what the server has logged last */
  readonly log: { end: string };
}

const tellStory = async (config: Config, env: NodeJS.ProcessEnv, tell: Narrator, { place, signal, log }: Backstage): Promise<void> => {
  const word = `word-${Math.random().toString(36).slice(2, 12)}`;
  const project = prepareProject(place, word);
  tell.title('A small project on this machine');
  tell.say(`${project}: a copy of the example that comes with cellwall, and a secret in .env`);

  tell.title('The server, and an MCP client before it');
  const transport = transportTo(config, env, project, tell);
  transport.stderr?.on('data', (chunk: Buffer) => (log.end = (log.end + String(chunk)).slice(-LOG_TAIL)));
  const client = new Client({ name: 'cellwall-demo', version: VERSION });
  let closing: Promise<void> | undefined; // only the first one waits for the end of the server
  const close = (): Promise<void> => (closing ??= transport.close());
  signal.addEventListener('abort', () => void close(), { once: true });
  const listener = await listen();
  try {
    await client.connect(transport);
    const { tools } = await client.listTools();
    const { name, version } = { name: '', version: '', ...client.getServerVersion() };
    tell.say(`${name} ${version} answers by MCP ${client.getNegotiatedProtocolVersion() ?? ''}. Its tools: ${tools.map((tool) => tool.name).join(', ')}`);
    const pid = transport.pid ?? 0;
    const places = placesOf(config.stateDir, pid);
    if (places === null) throw new Error(`the server has no directory of its own below ${config.stateDir}`);
    const stage: Stage = { tell, project, place, word, listener, pid, places, call: callWith(client, tell), leave: () => client.close() };
    for (const step of STEPS) await step(stage);
  } finally {
    listener.close();
    await (signal.aborted ? close() : client.close());
  }
};

// The example is copied, so that no checkout becomes a context by accident.
const prepareProject = (place: string, word: string): string => {
  const project = join(place, 'project');
  cpSync(fileURLToPath(new URL('examples/demo-project', PACKAGE_DIRECTORY)), project, { recursive: true });
  writeFileSync(join(project, '.env'), `API_TOKEN=${word}\n`, { mode: 0o600 });
  return project;
};

// Starts the server as a host would. It learns what this command was told, not the variables around it: they are twins of other options too.
const transportTo = (config: Config, env: NodeJS.ProcessEnv, project: string, tell: Narrator): StdioClientTransport => {
  const args = [fileURLToPath(new URL('dist/src/main.js', PACKAGE_DIRECTORY)), `--context=${project}`, ...optionsOf(config)];
  const kept = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || (/^(CELLWALL|CLAUDE)_/.test(name) && name !== 'CELLWALL_RUNSC') ? [] : [[name, value] as const],
  );
  tell.say(`$ node ${args.join(' ')}`);
  return new StdioClientTransport({ command: process.execPath, args, cwd: project, stderr: 'pipe', env: Object.fromEntries(kept) });
};

const optionsOf = ({ policy, policies, floor, maxSandboxes, stateDir, cacheDir, logLevel }: Config): string[] => [
  `--policy=${policy}`,
  `--max-sandboxes=${maxSandboxes}`,
  `--state-dir=${stateDir}`,
  `--cache-dir=${cacheDir}`,
  `--log-level=${logLevel}`,
  ...(policies === undefined ? [] : [`--policies=${policies}`]),
  ...(floor === undefined ? [] : [`--floor=${floor}`]),
];

// Every call is shown, with what a model would see of its answer.
const callWith =
  (client: Client, tell: Narrator): Stage['call'] =>
  async (tool, args, lines) => {
    tell.call(tool, args);
    const { content, structuredContent, isError } = await client.callTool({ name: tool, arguments: { ...args } });
    const text = content.map((block) => (block.type === 'text' ? block.text : `(${block.type})`)).join('\n');
    tell.answer(text, lines);
    if (isError) throw new Error(`${tool} was refused`);
    return { text, fields: structuredContent };
  };

const summary = ({ told, failed, say, title }: Narrator): number => {
  title('Summary');
  if (failed.length === 0) {
    say(`All ${told.length} claims above were checked, and they are true.`);
    return 0;
  }
  say(`${failed.length} of ${told.length} claims do not hold:`);
  for (const claim of failed) say(`- ${claim}`);
  return 1;
};

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

// Aborts with the exit code that a shell would give.
const watchSignals = (): { signal: AbortSignal; forget(): void } => {
  const abort = new AbortController();
  const listeners = Object.entries(SIGNALS).map(([name, number]) => [name, () => abort.abort(128 + number)] as const);
  for (const [name, stop] of listeners) process.once(name, stop);
  return { signal: abort.signal, forget: () => listeners.forEach(([name, stop]) => process.off(name, stop)) };
};
