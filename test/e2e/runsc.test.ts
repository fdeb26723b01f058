import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cachedRunsc } from '../../src/runtime/gvisor/runsc.ts';
import { give } from '../requirements.ts';
import { createBox } from './harness/box.ts';
import { makeDirectory, makeHome } from './harness/home.ts';
import { holdingsOf, NOTHING, settled } from './harness/looks.ts';
import { mode, ordinaryUser, user } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { startServer, type Server } from './harness/server.ts';

const NONE = { context: 'none' };

const fake = (script: string): string =>
  join(
    makeDirectory('runsc', (directory) => writeFileSync(join(directory, 'runsc'), script, { mode: 0o755 })),
    'runsc',
  );
const serve = (runsc: string): Promise<Server> => startServer({ home: makeHome({ runsc: false }), env: { CELLWALL_RUNSC: runsc } });
const ended = async (server: Server): Promise<void> => {
  expect({ code: await server.close(), garbage: server.garbage, left: server.look() }).toEqual({ code: 0, garbage: [], left: NOTHING });
};

describe(`a runsc that cannot be used is named and not passed over, as ${mode}`, () => {
  const cases: readonly (readonly [claim: string, make: () => string, says: RegExp])[] = [
    ['one that is not there', () => '/nowhere/runsc', /it does not exist/],
    ['one that is relative', () => 'runsc', /not absolute/],
    ['a directory', () => makeDirectory('runsc'), /no regular file/],
    [
      'one that is not executable',
      () => {
        const path = fake('#!/bin/sh\n');
        chmodSync(path, 0o644);
        return path;
      },
      /not executable/,
    ],
    [
      'one that others may write',
      () => {
        const path = fake('#!/bin/sh\n');
        chmodSync(path, 0o777);
        return path;
      },
      /writable by others/,
    ],
    [
      'one in a directory that others may write',
      () => {
        const path = fake('#!/bin/sh\n');
        chmodSync(join(path, '..'), 0o777);
        return path;
      },
      /directory.*writable by others/,
    ],
  ];

  it.each(cases)('%s', async (_claim, make, says) => {
    const runsc = make();
    const server = await serve(runsc);
    const error = await refused('RUNTIME_UNAVAILABLE', server.call('sandbox_create', NONE));
    expect(error.message).toMatch(/CELLWALL_RUNSC/);
    expect(error.message).toMatch(says);
    expect(server.stderr(), 'its path is in the log').toContain(dirname(runsc));
    expectNothingOfTheHost(error.message, server.home);
    await ended(server);
  });

  it('one of somebody else', async () => {
    if (process.getuid!() !== 0) return; // only root can give files away
    const runsc = fake('#!/bin/sh\n');
    chownSync(runsc, ordinaryUser.uid! + 1, 0);
    const server = await serve(runsc);
    expect((await refused('RUNTIME_UNAVAILABLE', server.call('sandbox_create', NONE))).message).toMatch(/belongs to somebody else/);
    await ended(server);
  });

  it('none at all: the hint is the command that gets one', async () => {
    const server = await startServer({ home: makeHome({ runsc: false }), env: { PATH: '/nonexistent' } });
    const error = await refused('RUNTIME_UNAVAILABLE', server.call('sandbox_create', NONE));
    expect(error.hint).toMatch(/cellwall setup/);
    await ended(server);
  });
});

describe(`a runsc that fails leaves nothing, and its noise goes to the log alone, as ${mode}`, () => {
  it.each([
    [
      'dies with noise on both streams',
      'echo \'{"jsonrpc": "2.0"}\'; echo noise on stdout; echo reasons on stderr >&2; exit 3',
      /could not create the sandbox.*exit code 3/,
    ],
    ['is killed', 'kill -9 $$', /signal 9/],
    ['says that all is well and makes nothing', 'exit 0', /record of the sandbox cannot be used/],
    [
      'writes a record that is none',
      'for a; do case $a in --root=*) root=${a#--root=};; esac; done; for id; do :; done; echo "{" > "$root/${id}_sandbox:$id.state"',
      /record of the sandbox cannot be used/,
    ],
    ['leaves a child behind', 'for a; do case $a in --child) while :; do sleep 1; done;; esac; done; "$0" --child "$@" & exit 1', /exit code 1/],
  ])('one that %s', async (_claim, script, says) => {
    const server = await serve(fake(`#!/bin/sh\n${script}\n`));
    await refused('RUNTIME_FAILED', server.call('sandbox_create', NONE)); // the first makes what all share
    const before = { ...(await settled(server)), ...server.look() };
    const error = await refused('RUNTIME_FAILED', server.call('sandbox_create', NONE));
    expect(error.message).toMatch(says);
    expectNothingOfTheHost(error.message, server.home);
    expect(error.message).not.toMatch(/noise|reasons/);
    await expect.poll(() => ({ ...holdingsOf(server), ...server.look() })).toEqual(before);
    expect((await server.call('sandbox_list'))['quota']).toEqual({ used: 0, max: 8 });
    await ended(server);
  });

  it('one that hangs is ended at its deadline, with what it has started; others are answered meanwhile', async () => {
    const server = await serve(
      fake(
        '#!/bin/sh\nfor a; do case $a in --child) while :; do sleep 1; done;; esac; done\ntrap "" TERM INT\n"$0" --child "$@" &\nwhile :; do sleep 1; done\n',
      ),
    );
    await server.call('sandbox_create', { ...NONE, policy: 'scratch' }).catch(() => undefined); // the first makes what all share
    const before = { ...(await settled(server)), ...server.look() };
    const [error] = await Promise.all([
      refused('RUNTIME_FAILED', server.call('sandbox_create', NONE)),
      expect.poll(() => server.call('sandbox_list')).toMatchObject({ sandboxes: [{ state: 'creating' }], quota: { used: 1 } }),
    ]);
    expect(error.message).toMatch(/did not end within 15 s/);
    await expect.poll(() => ({ ...holdingsOf(server), ...server.look() }), { timeout: 5000 }).toEqual(before);
    await ended(server);
  });

  it('one that hangs is ended at once with the client', async () => {
    const server = await serve(fake('#!/bin/sh\nwhile :; do sleep 1; done\n'));
    server.call('sandbox_create', NONE).catch(() => undefined);
    await expect.poll(() => holdingsOf(server).processes.length).toBeGreaterThan(0);
    await ended(server);
  });
});

it(`a machine that is nearly full refuses creates, and says what of it is, as ${mode}`, async ({ skip }) => {
  const title = 'HOST_FULL';
  if (process.getuid!() !== 0) give('only root can mount a small file system', title, skip);
  const home = makeHome();
  mkdirSync(home.stateDir);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=8m,mode=700${ordinaryOwner()}`, 'small', home.stateDir]).status !== 0)
    give('mount is refused here', title, skip);
  onTestFinished(() => void spawnSync('umount', ['-l', home.stateDir]));
  const server = await startServer({ home });
  const error = await refused('HOST_FULL', server.call('sandbox_create', NONE));
  expect(error).toMatchObject({ retryable: true, message: expect.stringMatching(/disk is nearly full: \d+ MB are free/) as string });
  expectNothingOfTheHost(error.message, home);
  expect(await server.close()).toBe(0);
});

const ordinaryOwner = (): string => (mode === 'user' && ordinaryUser.uid !== undefined ? `,uid=${ordinaryUser.uid},gid=${ordinaryUser.gid}` : '');

describe(`the way back: a runsc whose control socket is not understood, as ${mode}`, () => {
  it('is found out by a self-test whose outcome is kept, and its own command line runs, times out, signals and ends commands', async () => {
    const home = makeHome();
    const runsc = cachedRunsc(home.cacheDir);
    copyFileSync(runsc, `${runsc}.own`); // the other homes share theirs, and each link that is made or removed gives it another time
    renameSync(`${runsc}.own`, runsc);
    chownSync(runsc, user.uid, user.gid);
    const first = await startServer({ home });
    await createBox(first);
    await ended(first);
    const kept = join(home.cacheDir, 'control-socket.json');
    const outcome = JSON.parse(readFileSync(kept, 'utf8')) as Record<string, string>;
    expect(Object.values(outcome)).toEqual(['socket']);
    writeFileSync(kept, JSON.stringify(Object.fromEntries(Object.keys(outcome).map((identity) => [identity, 'cli']))));

    const server = await startServer({ home });
    const box = await createBox(server);
    expect(await box.exec('echo out; echo err >&2; exit 3', { env: { A: 'b c' } })).toMatchObject({
      status: 'exited',
      exit_code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(await box.run('grep -h CapBnd /proc/self/status; id -u; pwd; cat; ls /proc/self/fd | wc -l', { stdin: 'in\n' })).toBe(
      'CapBnd:\t0000000000000000\n1000\n/workspace\nin\n4\n',
    );
    expect((await refused('EXEC_FAILED', box.exec(['no-such-program']))).message).toMatch(/does not exist/);
    expect(await box.exec('kill -SEGV $$')).toMatchObject({ status: 'signaled', signal: 'SIGSEGV' });
    expect(await box.exec('sleep 1000 & sleep 1000', { timeout_ms: 1000 })).toMatchObject({ status: 'timed_out', signal: 'SIGKILL' });
    expect(await box.run('pgrep -c sleep || true')).toBe('0\n');
    const exec_id = await box.begin('trap "exit 5" USR1; echo ready; while :; do sleep 0.1; done', /ready/);
    expect((await server.call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [exec_id] }]);
    expect(await box.wait(exec_id, { signal: 'USR1' })).toMatchObject({ status: 'exited', exit_code: 5 });
    const other = await box.exec('sleep 1000', { wait_ms: 0 });
    expect(await box.wait(other.exec_id, { signal: 'KILL' })).toMatchObject({ status: 'signaled', signal: 'SIGKILL' });
    expect((await refused('RUNTIME_UNAVAILABLE', box.exec('true', { tty: true }))).hint).toMatch(/without `tty`/);
    expect((await box.exec('unshare -Ur true')).stderr).toMatch(/not permitted/);
    await box.exec('sleep 1000 & exit 0');
    expect(await box.destroy()).toEqual({ destroyed: true });
    await ended(server);
    expect(existsSync(kept)).toBe(true);
  });
});
