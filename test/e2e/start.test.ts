/** What a server says before it serves anything: a mistake of its operator ends it with one line, and stdout stays empty. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCellwall } from './harness/command.ts';
import { makeDirectory, makeHome, own } from './harness/home.ts';
import { NOTHING, watchHost } from './harness/looks.ts';
import { mode, ordinaryUser } from './harness/mode.ts';
import { makePolicies, makeTrusted, sections, writeOwned } from './harness/trusted.ts';

const refusedStart = async (args: readonly string[], says: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> => {
  const home = makeHome();
  const look = watchHost(home);
  const { code, stdout, stderr } = await runCellwall(args, { home, env });
  expect({ code, stdout: String(stdout), stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(says) as string });
  expect(stderr).not.toMatch(/\n\s+at |node_modules|\.[jt]s:\d/);
  expect(look()).toEqual(NOTHING);
};

const limits = sections({ limits: { pids: 10 } });

describe(`a server does not start, as ${mode}`, () => {
  it.each<readonly [claim: string, files: Readonly<Record<string, string | object>>, says: RegExp]>([
    ['with a policy that is no JSON', { 'broken.json': '{' }, /broken\.json/],
    [
      'with a policy whose field has another type',
      { 'mine.json': { name: 'mine', extends: 'offline', limits: { pids: 'many', why: 'x' } } },
      /mine\.json.*limits\.pids.*"many" \(string\)/,
    ],
    ['with a policy with a field that there is not', { 'mine.json': { name: 'mine', extends: 'offline', colour: 'red' } }, /mine\.json.*colour/],
    ['with a grant that gives no reason', { 'mine.json': { name: 'mine', extends: 'offline', limits: { pids: 10 } } }, /mine\.json.*limits\.why/],
    ['with a policy that takes a shipped name', { 'offline.json': { name: 'offline', extends: 'scratch', ...limits } }, /offline\.json.*ship.*"offline"/],
    ['with a policy of another name than its file', { 'mine.json': { name: 'other', extends: 'offline' } }, /mine\.json.*name/],
    ['with a policy that extends by a path', { 'mine.json': { name: 'mine', extends: '../offline' } }, /mine\.json.*extends/],
    ['with policies that extend each other', { 'a.json': { name: 'a', extends: 'b' }, 'b.json': { name: 'b', extends: 'a' } }, /circle/],
    ['with a policy that extends none that is there', { 'mine.json': { name: 'mine', extends: 'nothing' } }, /extends.*"nothing"/],
    ['with a policy that grants nothing that a policy needs', { 'mine.json': { name: 'mine', description: 'x' } }, /mine\.json/],
  ])('%s', async (_claim, files, says) => {
    const directory = makeTrusted();
    for (const [name, content] of Object.entries(files)) writeOwned(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
    await refusedStart(['--policies', directory], says);
  });

  it('with policies that others may write: the file, its directory, one above it, or a link to one', async () => {
    const directory = makePolicies({ mine: limits });
    chmodSync(join(directory, 'mine.json'), 0o666);
    await refusedStart(['--policies', directory], /mine\.json.*writable by its owner alone/);
    chmodSync(join(directory, 'mine.json'), 0o644);
    chmodSync(directory, 0o777);
    await refusedStart(['--policies', directory], /writable by its owner alone.*0777/);
    own(join(directory, 'below'));
    await refusedStart(['--policies', join(directory, 'below')], /writable by its owner alone/);
    await refusedStart(['--policies', makeDirectory('policies')], /writable by its owner alone/); // below the temporary directory
    const trusted = makeTrusted();
    symlinkSync(directory, join(trusted, 'link'));
    await refusedStart(['--policies', join(trusted, 'link')], /writable by its owner alone/);
  });

  it('with policies of somebody else', async () => {
    if (process.getuid!() !== 0) return; // only root can give files away
    const directory = makePolicies({ mine: limits });
    chownSync(join(directory, 'mine.json'), ordinaryUser.uid! + 1, 0);
    await refusedStart(['--policies', directory], /mine\.json.*root or the user of cellwall/);
  });

  it('with policies in a place from which projects come', async () => {
    const directory = makePolicies({ mine: limits });
    await refusedStart(['--policies', directory, '--allow-root', dirname(directory)], /outside of all allowed roots/);
    await refusedStart(['--policies', directory, '--context', directory], /outside of all allowed roots/);
  });

  it('with a default policy that is not there, and names those that are', async () => {
    await refusedStart(['--policy', 'pyhton'], /"pyhton" is unknown: offline, scratch are loaded/);
    await refusedStart([], /"pyhton" is unknown/, { CELLWALL_POLICY: 'pyhton' });
  });

  it('with a configuration file that is not there, is none, or holds what it does not know', async () => {
    const directory = makeDirectory('config', (place) => {
      writeFileSync(join(place, 'broken.json'), '{"maxSandboxes": }');
      writeFileSync(join(place, 'unknown.json'), '{"maxSandboxen": 3}');
      writeFileSync(join(place, 'wrong.json'), '{"maxSandboxes": "three"}');
      mkdirSync(join(place, 'directory.json'));
    });
    await refusedStart(['--config', join(directory, 'nothing.json')], /nothing\.json.*there is no such file/);
    await refusedStart(['--config', join(directory, 'broken.json')], /broken\.json.*not JSON/);
    await refusedStart(['--config', join(directory, 'unknown.json')], /unknown\.json: maxSandboxen.*no such setting/);
    await refusedStart(['--config', join(directory, 'wrong.json')], /wrong\.json: maxSandboxes/);
    await refusedStart(['--config', join(directory, 'directory.json')], /cannot be read/);
    await refusedStart([], /CELLWALL_MAX_SANDBOXES/, { CELLWALL_MAX_SANDBOXES: 'three' });
    await refusedStart(['--max-sandboxes', '0'], /--max-sandboxes/);
  });

  it('with an option or a command that it does not know', async () => {
    await refusedStart(['--no-such-option'], /no-such-option/);
    await refusedStart(['no-such-command'], /no-such-command/);
  });

  it('with a policy that exceeds the floor; a shipped one is withheld', async () => {
    const floor = join(makeTrusted(), 'floor.json');
    writeOwned(floor, JSON.stringify({ name: 'floor', ...sections({ limits: { memory_mb: 600 } }) }));
    await refusedStart(['--floor', floor], /offline\.json: limits\.memory_mb.*600.*2048/);
    const policies = makePolicies({ mine: sections({ limits: { memory_mb: 700 } }) });
    await refusedStart(['--floor', floor, '--policy', 'scratch', '--policies', policies], /mine\.json: limits\.memory_mb/);
  });
});
