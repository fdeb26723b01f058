import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contextsOf } from '../../src/cli/contexts.ts';

let top: string;
let [work, project, other]: string[] = [];
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-contexts-')));
  [work, project, other] = ['work', 'project', 'other'].map((name) => {
    mkdirSync(join(top, name));
    return join(top, name);
  });
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

describe('--context none', () => {
  const none = (clientRoots: readonly string[] = [], allowRoot: readonly string[] = []) =>
    contextsOf({ context: 'none', allowRoot: [...allowRoot] }, { cwd: work!, env: { CLAUDE_PROJECT_DIR: project } }, clientRoots);

  it('takes no directory by itself, and a client can name none', () => {
    expect(none([pathToFileURL(other!).href])).toEqual({ default: null, allowed: { roots: [], operator: [] } });
  });

  it('leaves what --allow-root names to be asked for', () => {
    expect(none([], [other!])).toEqual({ default: null, allowed: { roots: [other], operator: [other] } });
  });
});

it('a context that is named is the default, and goes before what a host says of its project', () => {
  const named = contextsOf({ context: other!, allowRoot: [] }, { cwd: work!, env: { CLAUDE_PROJECT_DIR: project } });
  expect(named).toEqual({ default: other, allowed: { roots: [other], operator: [other] } });
});

it('where none is named, the host goes before the working directory', () => {
  const of = (env: NodeJS.ProcessEnv) => contextsOf({ allowRoot: [] }, { cwd: work!, env }).default;
  expect([of({ CLAUDE_PROJECT_DIR: project }), of({}), of({ CLAUDE_PROJECT_DIR: '/' })]).toEqual([project, work, work]);
});
