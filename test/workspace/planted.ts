/** A sandbox's root tree in a temporary directory, with something beside it that must never be read. */
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { SandboxError } from '../../src/errors.ts';
import { readPath, type ReadInput, type ReadResult } from '../../src/workspace/files/files.ts';
import type { Inside } from '../../src/workspace/files/inside.ts';

export interface Tree {
  /** where the tree lies on the host */
  readonly path: string;
  /** a directory beside it, with a file `secret` */
  readonly outside: string;
  /** Reads a path of the tree; `contextPath` null and nothing that can be run inside unless they are given. */
  read(input: string | ReadInput, options?: { contextPath?: string; inside?: Inside; signal?: AbortSignal }): Promise<ReadResult>;
  /** The code and message of the refusal of a read. */
  refusal(input: string | ReadInput, options?: Parameters<Tree['read']>[1]): Promise<string>;
}

export const SECRET = 'what only the host may see';

const nothingInside: Inside = async () => {
  throw new Error('nothing was to be run inside');
};

/** Makes a tree with the given files, by absolute path; parents are made, a path that ends in `/` is a directory. It is gone after the test. */
export const plantTree = (files: Readonly<Record<string, string | Buffer>>): Tree => {
  const top = mkdtempSync(join(tmpdir(), 'cellwall-files-'));
  const [path, outside] = [join(top, 'root'), join(top, 'outside')];
  for (const directory of ['root/workspace', 'root/proc', 'root/sys', 'root/dev/shm', 'outside']) mkdirSync(join(top, directory), { recursive: true });
  writeFileSync(join(outside, 'secret'), SECRET);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, name.endsWith('/') ? '.' : '..'), { recursive: true });
    if (!name.endsWith('/')) writeFileSync(join(path, name), content);
  }
  const door = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  onTestFinished(() => {
    closeSync(door);
    rmSync(top, { recursive: true });
  });
  const read: Tree['read'] = (input, { contextPath = null, inside = nothingInside, signal = new AbortController().signal } = {}) =>
    readPath(door, typeof input === 'string' ? { path: input } : input, { contextPath, inside, signal });
  const refusal: Tree['refusal'] = async (input, options) => {
    try {
      return `read: ${JSON.stringify(await read(input, options))}`;
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      if (`${error.message}${error.hint}`.includes(top)) throw new Error('a path of the host is told', { cause: error });
      return `${error.code}: ${error.message}`;
    }
  };
  return { path, outside, read, refusal };
};
