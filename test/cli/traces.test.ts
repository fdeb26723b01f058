import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differencesOf, fingerprint, groupsOf, placesOf, processesBelow } from '../../src/cli/traces.ts';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'cellwall-traces-'));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe('a directory that was touched is told from one that was not:', () => {
  const changes: Record<string, [change: () => void, names: string[]]> = {
    nothing: [() => {}, []],
    'a mode': [() => chmodSync(join(place, 'a'), 0o755), ['a']],
    'a time': [() => utimesSync(join(place, 'a'), 1, 1), ['a']],
    'a file more': [() => writeFileSync(join(place, 'd/new'), ''), ['d', 'd/new']],
    'a file less': [() => rmSync(join(place, 'a')), ['.', 'a']],
    'another target of a link': [() => (rmSync(join(place, 'l')), symlinkSync('b', join(place, 'l'))), ['.', 'l']],
    'content of the same size and time': [
      () => {
        writeFileSync(join(place, 'a'), 'two');
        utimesSync(join(place, 'a'), 1000, 1000);
      },
      ['a'],
    ],
  };
  it.each(Object.entries(changes))('%s', (_, [change, names]) => {
    mkdirSync(join(place, 'd'));
    writeFileSync(join(place, 'a'), 'one');
    symlinkSync('a', join(place, 'l'));
    for (const name of ['a', 'd', '.']) utimesSync(join(place, name), 1000, 1000);
    const before = fingerprint(place);
    change();
    expect(differencesOf(before, fingerprint(place))).toEqual(names);
  });
});

it('a server is found by its pid, and its control groups by what it wrote down', () => {
  const state = join(place, 'servers/one');
  mkdirSync(join(state, 'runtime'), { recursive: true });
  mkdirSync(join(place, 'servers/.new-two'));
  writeFileSync(join(state, 'server.json'), JSON.stringify({ pid: 77, mounts: '/m' }));
  writeFileSync(join(state, 'runtime/k.groups'), '/g/a\n/g/b');
  expect(placesOf(place, 77)).toEqual({ state, mounts: '/m' });
  expect(groupsOf({ state, mounts: '/m' })).toEqual(['/g/a', '/g/b']);
  expect([placesOf(place, 78), placesOf(join(place, 'nowhere'), 77), groupsOf({ state: place, mounts: '' })]).toEqual([null, null, []]);
});

it('the descendants of a process are found, however deep', async () => {
  const child = spawn('sh', ['-c', 'sh -c "sleep 1000 & echo there; wait" & wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await expect.poll(() => processesBelow(child.pid!).map(({ argv }) => argv[0])).toEqual(['sh', 'sleep']); // one becomes the other in its own time
  const below = processesBelow(child.pid!);
  for (const { pid } of below) process.kill(pid, 'SIGKILL');
  await once(child, 'exit');
  expect(processesBelow(child.pid!)).toEqual([]);
});
