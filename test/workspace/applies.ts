/** Applies for tests: a base, a workspace that began as it, and a context on the host that the workspace comes home to. */
import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { SandboxError } from '../../src/errors.ts';
import { openDirectory, withFd } from '../../src/syscall/files.ts';
import { applyWorkspace, type ApplyInput, type ApplyResult, type Question } from '../../src/workspace/apply/apply.ts';
import { Journal } from '../../src/workspace/apply/journal.ts';
import type { Base } from '../../src/workspace/manifest.ts';
import { identityOf } from '../../src/workspace/roots.ts';
import { baseOf, diffPlain } from './diffs.ts';
import { PROJECT } from './operations.ts';
import { makeTree, newDirectory, readTree, type Tree } from './trees.ts';

export interface ApplyParams extends Partial<ApplyInput> {
  readonly ask?: (question: Question) => Promise<boolean>;
  readonly signal?: AbortSignal;
  /** of the context when it was copied; left out: now */
  readonly identity?: string;
}

let count = 0;

/** Applies what a directory has become to a context. Without a digest that of the diff now. */
export const apply = async (base: Base, workspace: string, context: string, undo: string, params: ApplyParams = {}): Promise<ApplyResult> => {
  const { digest, paths, ask = async () => true, signal = new AbortController().signal, identity } = params;
  const seen = digest ?? (await diffPlain(base, workspace, paths === undefined ? {} : { paths })).digest;
  const view = openDirectory(workspace);
  try {
    return await applyWorkspace(
      view,
      { kind: 'plain', root: view, base },
      { digest: seen, ...(paths === undefined ? {} : { paths }) },
      {
        context: { path: context, identity: identity ?? withFd(openDirectory(context), identityOf) },
        undoDirectory: undo,
        id: (count++).toString(36).padStart(16, '0'),
        ask,
        command: 'cellwall apply sb_1',
        signal,
      },
    );
  } finally {
    closeSync(view);
  }
};

/** Names that an apply must not leave anywhere. */
export const leftovers = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'latin1' }).filter((name) => name.includes('.cellwall-'));

const copyOf = (directory: string): string => {
  const copy = newDirectory();
  cpSync(directory, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return copy;
};

/** A base, a workspace and a context that are equal to it. */
export const plant = (tree: Tree = PROJECT) => {
  const original = makeTree(tree);
  const [inside, host, undo] = [copyOf(original), copyOf(original), join(newDirectory(), 'undo')];
  const base = baseOf(original);
  return { original, inside, host, undo, base, apply: (params: ApplyParams = {}) => apply(base, inside, host, undo, params) };
};

/** A tree without the times of directories, which change with what is in them. */
export const timeless = (directory: string): Record<string, string> =>
  Object.fromEntries(Object.entries(readTree(directory)).map(([path, what]) => [path, what.replace(/^(directory \d+) .*/, '$1')]));

export const failing = async (call: Promise<unknown>): Promise<SandboxError> => {
  const error = await call.then(
    (result) => expect.fail(`it succeeded: ${JSON.stringify(result)}`),
    (thrown: unknown) => thrown,
  );
  if (error instanceof SandboxError) return error;
  throw error;
};

/** The call fails with this code and these words, and the host is as it was. */
export const refusedWith = async (host: string, undo: string, code: string, words: RegExp, call: () => Promise<unknown>): Promise<SandboxError> => {
  const look = (): string => execFileSync('find', [host, '-printf', '%P %y %m %T@ %s %l\\n'], { encoding: 'latin1' });
  const before = look();
  const error = await failing(call());
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(words)]);
  expect(look()).toBe(before);
  expect(Journal.list(undo)).toEqual([]);
  return error;
};
