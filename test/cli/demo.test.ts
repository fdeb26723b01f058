import { once } from 'node:events';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, it, onTestFinished } from 'vitest';
import { cachedRunsc } from '../../src/runtime/gvisor/runsc.ts';
import { makeHome, type Home } from '../e2e/harness/home.ts';
import { NOTHING, watchHost } from '../e2e/harness/looks.ts';
import { startCellwall } from '../e2e/harness/server.ts';

/** Runs `cellwall demo` to its end, with a runsc that setup takes as it is; `onOutput` sees all that was printed so far. */
const runDemo = async (home: Home, env: Readonly<Record<string, string>> = {}, onOutput: (said: string, pid: number) => void = () => {}) => {
  const child = startCellwall({ home, args: ['demo'], env: { CELLWALL_RUNSC: cachedRunsc(home.cacheDir), ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => onOutput((said.stdout += text), child.pid!));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...said };
};

const TITLE = /^\d+\. .*$/gm;

it('the demo does the main job aloud, tells only what was checked, and leaves nothing', async () => {
  const home = makeHome();
  const look = watchHost(home);
  const { code, stdout, stderr } = await runDemo(home);
  expect(stdout).toMatch(/All \d+ claims above were checked, and they are true\.\n$/);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout.match(TITLE)).toHaveLength(13);
  for (const tool of ['sandbox_create', 'sandbox_exec', 'sandbox_read', 'sandbox_list', 'sandbox_destroy']) expect(stdout).toContain(`→ ${tool} {`);
  expect(stdout, 'colours are for terminals').not.toContain('\u001b');
  expect(look()).toEqual(NOTHING);
});

it('a claim that does not hold is named and makes the exit code 1', async () => {
  const programs = mkdtempSync(join(inject('runDirectory'), 'programs-'));
  chmodSync(programs, 0o755);
  writeFileSync(join(programs, 'curl'), '#!/bin/sh\n', { mode: 0o755 }); // sends nothing
  const home = makeHome();
  const look = watchHost(home);
  const { code, stdout } = await runDemo(home, { PATH: `${programs}:${process.env['PATH']}` });
  expect(stdout).toContain('✗ NOT TRUE: it was heard, so the script works here');
  expect(stdout).toMatch(/1 of \d+ claims do not hold:\n {3}- it was heard, so the script works here\n$/);
  expect(code).toBe(1);
  expect(look()).toEqual(NOTHING);
});

it('a demo that is stopped leaves nothing', async () => {
  const home = makeHome();
  const look = watchHost(home);
  let stopped = false;
  const { code, stdout } = await runDemo(home, {}, (said, pid) => {
    if (stopped || !said.includes('A kernel of its own')) return;
    stopped = true;
    look();
    process.kill(pid, 'SIGINT');
  });
  expect(code).toBe(130);
  expect(stdout).not.toContain('Summary');
  expect(look()).toEqual(NOTHING);
});
