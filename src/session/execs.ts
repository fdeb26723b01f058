/** The commands of one sandbox: those that run, and the latest of those that have ended. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SandboxError } from '../errors.ts';
import type { Exec } from './exec.ts';

/** What the outputs of ended commands may take together; the oldest go first. */
const MOST_BYTES = 256 * 1024 * 1024;
/** How many ended commands are remembered. */
const MOST_ENDED = 500;

export class Execs {
  readonly #directory: string;
  readonly #execs = new Map<string, Exec>();
  /** bytes of the output files of commands that have ended, the oldest first */
  readonly #ended = new Map<string, number>();
  readonly #unsized = new Set<string>();
  #bytes = 0;

  /** `directory` holds one directory of outputs for each. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  add(exec: Exec): void {
    this.#execs.set(exec.id, exec);
    const end = (): void => void this.#unsized.add(exec.id);
    exec.ended.then(end, end);
  }

  /** Throws EXEC_NOT_FOUND. */
  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (exec) return exec;
    throw new SandboxError(
      'EXEC_NOT_FOUND',
      `exec ${JSON.stringify(id.slice(0, 60))} is not there: it never was, or it ended long ago and made room for later ones`,
    );
  }

  get all(): readonly Exec[] {
    return [...this.#execs.values()];
  }

  get running(): readonly Exec[] {
    return this.all.filter((exec) => exec.isRunning);
  }

  /** Forgets one at once, output and all. */
  remove(id: string): void {
    this.#execs.get(id)?.forget();
    this.#execs.delete(id);
    this.#unsized.delete(id);
    this.#bytes -= this.#ended.get(id) ?? 0;
    this.#ended.delete(id);
    rmSync(join(this.#directory, id), { recursive: true, force: true });
  }

  /** Makes room; called when a command has been told of. */
  prune(): void {
    for (const id of this.#unsized) this.#account(id);
    this.#unsized.clear();
    for (const id of this.#ended.keys()) {
      const isSpare = this.#ended.size > MOST_ENDED && this.#execs.get(id)?.isOver;
      if (this.#bytes > MOST_BYTES || isSpare) this.remove(id);
      else if (this.#ended.size <= MOST_ENDED) return;
    }
  }

  #account(id: string): void {
    const size = sizeOf(join(this.#directory, id));
    this.#ended.set(id, size);
    this.#bytes += size;
  }
}

const sizeOf = (directory: string): number => {
  try {
    return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0;
  }
};
