import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runSetup } from '../../src/cli/setup.ts';
import { cachedRunsc } from '../../src/runtime/gvisor/runsc.ts';

let home: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'cellwall-cli-setup-')));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A stream that keeps what it is told. */
const listener = (isTTY = false) => {
  const chunks: string[] = [];
  const stream = new Writable({ write: (chunk, _, done) => (chunks.push(String(chunk)), done()) });
  return Object.assign(stream, { isTTY, text: () => chunks.join('') });
};

const program = (path: string, lines: string[]): string => {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 });
  return path;
};

it('a runsc that is there is named, with what was checked, and nothing is built', async () => {
  const path = program(join(home, 'runsc'), ['echo "runsc version of-a-test"']);
  const [stdout, stderr] = [listener(), listener()];
  await runSetup(join(home, 'cache'), { stdout, stderr, env: { CELLWALL_RUNSC: path } });
  expect(stdout.text()).toBe(
    `runsc is there, named by CELLWALL_RUNSC, and is used; nothing was built: ${path}\nverified: only root or you can change it; it runs\n`,
  );
  expect(stderr.text()).toBe('');
});

it('a failure shows the path that the error leaves out', async () => {
  const [stdout, stderr] = [listener(), listener()];
  const failed = runSetup(join(home, 'cache'), { stdout, stderr, env: { CELLWALL_RUNSC: join(home, 'gone') } });
  await expect(failed).rejects.toThrow('the runsc that CELLWALL_RUNSC names is not used: it does not exist');
  expect([stdout.text(), stderr.text()]).toEqual(['', `${home}/gone does not exist\n`]);
});

it('on a terminal the status overwrites itself and is gone at the end, before the last lines of Go', async () => {
  const spoiled = program(cachedRunsc(join(home, 'cache')), ['echo "runsc version of-a-test"']); // goes before any that this machine has
  program(join(home, 'go/go'), ['echo "go: downloading a.example/b v1" >&2', 'echo "that went wrong" >&2', 'exit 1']);
  const [stdout, stderr] = [listener(), listener(true)];
  const failed = runSetup(join(home, 'cache'), { stdout, stderr, env: { PATH: `${home}/go:/bin:/usr/bin`, CELLWALL_RUNSC: '' } });
  await expect(failed).rejects.toThrow('`go install` ended with exit code 1');
  const wipe = '\u001b[2K\u001b[1G';
  const shown = stderr
    .text()
    .replaceAll(wipe, '<')
    .replace(/\d:\d\d/, 'T');
  expect(shown).toMatch(/<building runsc from .+\n<downloading: 1 modules \(T\)<that went wrong\n$/);
  expect(shown).toContain(`${spoiled} is not used: no SHA-256 is recorded beside it\n`);
});

it('leaves no signal handler behind', async () => {
  const before = process.listenerCount('SIGINT');
  await runSetup(join(home, 'cache'), { stdout: listener(), stderr: listener(), env: {} }).catch(() => {});
  expect(process.listenerCount('SIGINT')).toBe(before);
});
