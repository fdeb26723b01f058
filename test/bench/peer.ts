/**
 * What cellwall is compared with: runsc's own command line, on the spec that the server wrote for a sandbox of its own and a tree of the same kind.
 * A process of its own, one namespace down as the server is. It reads one request a line and answers with one line: `ms`, or why not.
 */
import { chmodSync, closeSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Spec } from '../../src/oci/spec.ts';
import { runRunsc } from '../../src/runtime/gvisor/cli.ts';
import { runscFlags } from '../../src/runtime/gvisor/runsc.ts';
import { INIT_NAME } from '../../src/runtime/runtime.ts';
import { cameBack, enclose, proveEnclosed } from '../../src/syscall/enclose.ts';
import { createPipe, type Pipe } from '../../src/syscall/pipe.ts';
import { forbidDumping } from '../../src/syscall/process.ts';
import { buildEtc } from '../../src/workspace/etc.ts';
import { NOTHING } from '../../src/workspace/manifest.ts';
import { buildRoot } from '../../src/workspace/root.ts';

/** The first line. */
export interface PeerSetup {
  readonly runsc: string;
  /** empty directory of the peer's own, which the ids of a sandbox can pass through */
  readonly place: string;
  /** what the server gave to runsc for its standing sandbox, and the program that is pid 1 there */
  readonly spec: Spec;
  readonly init: string;
  /** runsc's `--root` of the server, and the name of that sandbox in it */
  readonly server: { readonly root: string; readonly id: string };
  readonly sizes: Parameters<typeof buildRoot>[0]['sizes'];
}

/** Every further line. `create`: create, start and exec of a new sandbox; `delete`: of that; `exec`: in the server's. */
export type PeerRequest = 'create' | 'delete' | 'exec';

export type PeerAnswer = { readonly ms: number } | { readonly error: string };

const DEADLINE_MS = 30_000;
const AGENT = 1000;

const main = async (): Promise<void> => {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const setup = JSON.parse((await lines.next()).value as string) as PeerSetup;
  const requests = await prepare(setup);
  answer({ ms: 0 });
  for await (const line of { [Symbol.asyncIterator]: () => lines }) answer(await measure(requests[line as PeerRequest]));
};

const answer = (said: PeerAnswer): void => void process.stdout.write(`${JSON.stringify(said)}\n`);

const measure = async (run: () => Promise<void>): Promise<PeerAnswer> => {
  const startedAt = performance.now();
  try {
    await run();
    return { ms: performance.now() - startedAt };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
};

const prepare = async ({ runsc: path, place, spec, init, server, sizes }: PeerSetup): Promise<Record<PeerRequest, () => Promise<void>>> => {
  const [etc, run, bundle, state] = ['etc', 'run', 'bundle', 'state'].map((name) => join(place, name)) as [string, string, string, string];
  for (const directory of [etc, run, bundle, state]) mkdirSync(directory);
  chmodSync(state, 0o700);
  buildEtc(etc);
  cpSync(init, join(run, INIT_NAME));
  chmodSync(join(run, INIT_NAME), 0o555);
  const agent = { uid: hostIdOf(spec.linux.uidMappings), gid: hostIdOf(spec.linux.gidMappings) };
  const options = { etc, run, rootfs: 'host', toolchains: [], binds: [], sizes, agent, contextPath: null, base: NOTHING, overlay: false };
  const tree = await buildRoot({ ...options, place: join(place, 'tree') });
  writeFileSync(join(tree.path, 'tmp/.keep'), ''); // gVisor would cover an empty /tmp
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(moved(spec, tree.path)));

  const flagsFor = (root: string): readonly string[] => [...runscFlags({ root, platform: 'systrap', network: 'none' }), '--in-sandbox-cgroup=v2'];
  const runsc = (root: string, args: readonly string[], stdin?: number): Promise<void> => {
    const signal = new AbortController().signal;
    const call = { path, args: [...flagsFor(root), ...args], logFile: join(place, 'runsc.log'), deadlineMs: DEADLINE_MS, signal };
    return runRunsc(stdin === undefined ? call : { ...call, stdin });
  };
  const exec = (root: string, id: string): Promise<void> => runsc(root, ['exec', `--user=${AGENT}:${AGENT}`, '--cwd=/workspace', id, 'true']);
  let count = 0;
  let last: { id: string; pipe: Pipe } | undefined;
  return {
    create: async () => {
      last = { id: `peer-${String((count += 1)).padStart(6, '0')}`, pipe: createPipe() };
      const { id, pipe } = last;
      await runsc(state, ['create', '--bundle', bundle, id], pipe.read);
      await runsc(state, ['start', id]);
      await exec(state, id);
    },
    delete: async () => {
      if (last === undefined) throw new Error('there is no sandbox to delete');
      await runsc(state, ['delete', '--force', last.id]);
      closeSync(last.pipe.read);
      closeSync(last.pipe.write);
      last = undefined;
    },
    exec: () => exec(server.root, server.id),
  };
};

const hostIdOf = (mappings: Spec['linux']['uidMappings']): number => mappings?.find(({ containerID }) => containerID === AGENT)?.hostID ?? AGENT;

// The same spec on another tree.
const moved = (spec: Spec, root: string): Spec => ({
  ...spec,
  root: { ...spec.root, path: root },
  mounts: spec.mounts.map((mount) => (mount.destination === '/dev/shm' ? { ...mount, source: join(root, 'dev/shm') } : mount)),
});

forbidDumping();
const back = cameBack(process.env);
if (back === null) enclose(process.argv.slice(1), process.env, { uid: process.getuid!(), gid: process.getgid!() });
else {
  proveEnclosed(back);
  await main();
}
