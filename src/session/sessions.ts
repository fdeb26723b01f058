/** All sandboxes of this server: who owns them, how many there may be, and what is left to say of those that are gone. */
import { closeSync } from 'node:fs';
import { SandboxError } from '../errors.ts';
import { log } from '../log.ts';
import type { Policies } from '../policy/load.ts';
import type { Policy } from '../policy/profile.ts';
import { tighten } from '../policy/resolve.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { OverlayTrial } from '../workspace/overlay-trial.ts';
import { identityOf, openContext, type AllowedRoots, type OpenedContext } from '../workspace/roots.ts';
import type { Listener, SnapshotStore } from '../workspace/store/store.ts';
import { assemble } from './assembly.ts';
import type { Clock } from './clock.ts';
import type { Home } from './home.ts';
import { demandRoom } from './host.ts';
import { newHostIds, newSandboxId, newSandboxKey, type HostIds } from './ids.ts';
import { isTheirs } from './operator.ts';
import type { Outputs } from './output.ts';
import type { CreateInput, Created, Listing, Principal } from './requests.ts';
import { Session } from './session.ts';

export type { Principal } from './requests.ts';

/** Where contexts may come from, and which is taken when none is named. */
export interface Contexts {
  readonly default: string | null;
  readonly allowed: AllowedRoots;
}

export interface SessionsOptions {
  readonly policies: Policies;
  readonly defaultPolicy: string;
  readonly maxSandboxes: number;
  readonly contexts: () => Promise<Contexts>;
  readonly home: Home;
  readonly runtimes: { get(name: string): Promise<Runtime> };
  readonly outputs: Outputs;
  readonly snapshots: SnapshotStore;
  readonly overlayTrial: OverlayTrial;
  readonly clock: Clock;
  /** whether each sandbox gets ids of the host for itself, which root can give */
  readonly ownIds: boolean;
}

type Entry =
  | { readonly state: 'creating'; readonly principal: Principal; readonly about: Listing['sandboxes'][number]; readonly ids: HostIds | null }
  | { readonly state: 'running'; readonly principal: Principal; readonly session: Session; readonly ids: HostIds | null }
  | { readonly state: 'expired' | 'destroyed'; readonly principal: Principal; readonly ids: null };

const EMPTY_WARNING = 'the workspace is empty: no context was named and the server has none of its own (start it with --context DIR, or name a `context`)';
/** How long a sandbox that has expired is told from one that never was. */
const REMEMBERED_MS = 3_600_000;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #creating = new Set<Promise<Created>>();
  readonly #ending = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get policyNames(): readonly string[] {
    return this.#options.policies.names;
  }

  get defaultPolicy(): string {
    return this.#options.defaultPolicy;
  }

  /**
   * Creates a sandbox for a principal; `onProgress` is told a few times a second how much of a large context is copied.
   * Throws what the contract names for sandbox_create; nothing is left then.
   */
  async create(input: CreateInput, principal: Principal, signal: AbortSignal, onProgress?: Listener['onProgress']): Promise<Created> {
    const creation = this.#create(input, principal, { signal: AbortSignal.any([signal, this.#closing.signal]), onProgress });
    this.#creating.add(creation);
    return creation.finally(() => this.#creating.delete(creation));
  }

  async #create(input: CreateInput, principal: Principal, listener: Listener): Promise<Created> {
    const { policies, defaultPolicy, runtimes, maxSandboxes, clock } = this.#options;
    const policy = tighten(policies.get(input.policy ?? defaultPolicy), { limits: input.limits, ttl_s: input.ttl_s });
    const runtime = await runtimes.get(policy.runtime.name);
    await runtime.probe();
    if (this.#live().length >= maxSandboxes)
      throw new SandboxError('QUOTA_EXCEEDED', `${maxSandboxes} sandboxes are there, which is as many as this server keeps`);
    demandRoom(this.#options.home.directory);
    const sandboxId = newSandboxId();
    const ids = this.#options.ownIds ? newHostIds(new Set(this.#live().map((entry) => entry.ids?.root ?? 0))) : null;
    this.#entries.set(sandboxId, { state: 'creating', principal, ids, about: beginning(sandboxId, input, policy, clock.now()) });
    try {
      const session = await this.#assemble(sandboxId, input, policy, runtime, ids, listener);
      if (listener.signal.aborted) {
        await session.destroy(); // nobody would learn of it
        throw new SandboxError('CANCELED', 'creating the sandbox was canceled');
      }
      this.#entries.set(sandboxId, { state: 'running', principal, session, ids });
      return session.created;
    } catch (error) {
      this.#entries.delete(sandboxId);
      throw error;
    }
  }

  /** The session of a sandbox; for anyone but its principal and the operator it does not exist. Throws SANDBOX_NOT_FOUND or SANDBOX_EXPIRED. */
  get(sandboxId: string, principal: Principal): Session {
    const entry = this.#entries.get(sandboxId);
    if (entry !== undefined && isTheirs(entry.principal, principal)) {
      if (entry.state === 'running') return entry.session;
      if (entry.state === 'expired') throw new SandboxError('SANDBOX_EXPIRED', `sandbox "${sandboxId}" has expired: its lifetime or its idle time was over`);
    }
    throw notFound(sandboxId);
  }

  async list(principal: Principal): Promise<Listing> {
    const mine = this.#live().filter((entry) => isTheirs(entry.principal, principal));
    return {
      sandboxes: await Promise.all(mine.map(async (entry) => (entry.state === 'running' ? entry.session.entry() : entry.about))),
      quota: { used: this.#live().length, max: this.#options.maxSandboxes },
    };
  }

  /** Ends a sandbox; everything of it is gone when this resolves. Again is no error for its owner. */
  async destroy(sandboxId: string, principal: Principal): Promise<void> {
    const entry = this.#entries.get(sandboxId);
    if (!entry || !isTheirs(entry.principal, principal) || entry.state === 'creating') throw notFound(sandboxId);
    if (entry.state === 'running') await this.#end(sandboxId, entry, 'destroyed');
    else await Promise.all(this.#ending);
  }

  /** Ends all sandboxes, those too that are only being created, at the end of the server. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#creating);
    for (const [sandboxId, entry] of this.#entries) if (entry.state === 'running') void this.#end(sandboxId, entry, 'destroyed');
    await Promise.all(this.#ending);
  }

  async #assemble(sandboxId: string, input: CreateInput, policy: Policy, runtime: Runtime, ids: HostIds | null, listener: Listener): Promise<Session> {
    const { contexts, home, outputs, snapshots, overlayTrial, clock } = this.#options;
    const { default: ownContext, allowed } = await contexts();
    const context = openNamed(input.context ?? ownContext, allowed);
    try {
      const key = newSandboxKey();
      const env = input.env ?? {};
      const assembly = await assemble({ key, policy, env, home, runtime, ids, context, allowed, snapshots, overlayTrial }, listener);
      return new Session({
        sandboxId,
        key,
        policy,
        env,
        label: input.label ?? null,
        contextPath: context?.path ?? null,
        contextIdentity: context && identityOf(context.fd),
        undoDirectory: home.undo,
        warnings: context === null && input.context === undefined ? [EMPTY_WARNING] : [],
        assembly,
        runtime,
        outputs,
        clock,
        onExpired: () => this.#expire(sandboxId),
      });
    } finally {
      if (context) closeSync(context.fd);
    }
  }

  #live(): (Entry & { state: 'creating' | 'running' })[] {
    return [...this.#entries.values()].filter((entry) => entry.state === 'creating' || entry.state === 'running');
  }

  #expire(sandboxId: string): void {
    const entry = this.#entries.get(sandboxId);
    if (entry?.state === 'running') void this.#end(sandboxId, entry, 'expired');
  }

  async #end(sandboxId: string, { session, principal }: Entry & { state: 'running' }, state: 'expired' | 'destroyed'): Promise<void> {
    this.#entries.set(sandboxId, { state, principal, ids: null });
    this.#options.clock.after(REMEMBERED_MS, () => this.#entries.delete(sandboxId));
    const ending = session.destroy().catch((error: unknown) => log.error({ err: error, sandbox_id: sandboxId }, 'a sandbox was not removed completely'));
    this.#ending.add(ending);
    await ending.finally(() => this.#ending.delete(ending));
  }
}

const openNamed = (context: string | null, allowed: AllowedRoots): OpenedContext | null =>
  context === null || context === 'none' ? null : openContext(context, allowed);

const notFound = (sandboxId: string): SandboxError => new SandboxError('SANDBOX_NOT_FOUND', `sandbox ${JSON.stringify(sandboxId.slice(0, 60))} is not there`);

const beginning = (sandboxId: string, { label }: CreateInput, { name, runtime, lifetime }: Policy, now: number): Listing['sandboxes'][number] => ({
  sandbox_id: sandboxId,
  label: label ?? null,
  policy: name,
  runtime: runtime.name,
  state: 'creating',
  created_at: new Date(now).toISOString(),
  expires_at: new Date(now + lifetime.ttl_s * 1000).toISOString(),
  running: [],
  usage: { memory_mb: null, pids: null, disk_mb: null, cpu_ms: null },
});
