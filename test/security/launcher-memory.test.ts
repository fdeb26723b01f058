import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { installation } from '../e2e/harness/installation.ts';
import { ordinaryUser } from '../e2e/harness/mode.ts';
import { itWith } from '../requirements.ts';

const Outcome = z.object({ children: z.number(), refused: z.boolean(), read: z.number(), written: z.number(), text: z.string() });

/** What a process of the same user achieves against so many launches. It is an ordinary user in both modes: nothing keeps root out of anything. */
const attack = (launches: number, targets: 'children' | 'all', ...args: readonly string[]): z.output<typeof Outcome> => {
  const { node, root } = installation();
  const [attacker, launcher] = ['overwrite-launcher.py', 'launcher.mjs'].map((name) => join(root, 'test/fixtures', name)) as [string, string];
  const options = { ...ordinaryUser, cwd: '/', encoding: 'utf8', timeout: 50_000 } as const;
  const { stdout, stderr } = spawnSync('python3', [attacker, String(launches), targets, node, launcher, ...args], options);
  expect(stderr).toBe('');
  return Outcome.parse(JSON.parse(stdout));
};

itWith(['python3'], "I7 a process of the same user cannot read or write the launcher's memory, through it or through the child that shares it", () => {
  const { children, ...outcome } = attack(100, 'all');
  expect(outcome).toEqual({ refused: true, read: 0, written: 0, text: 'the secret of the launcher' });
  expect(children).toBeGreaterThan(50);
});

itWith(['python3'], 'I7 the same attack through the children alone succeeds against a launcher that does not forbid it', () => {
  expect(attack(100, 'children', 'dumpable')).toMatchObject({ read: 1, written: 1, text: 'OVERWRITTENof the launcher' });
});
