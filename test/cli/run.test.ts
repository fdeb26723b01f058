import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { finish, runBefore, runCellwall } from '../e2e/harness/command.ts';
import { makeDirectory, makeHome } from '../e2e/harness/home.ts';
import { NOTHING, watchHost } from '../e2e/harness/looks.ts';
import { mode } from '../e2e/harness/mode.ts';
import { startCellwall } from '../e2e/harness/server.ts';

/** Without a context, and without warnings, which depend on the machine. */
const QUIET = ['run', '--context', 'none', '--log-level', 'error'];
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe(`exit codes, cellwall as ${mode}`, () => {
  it.each([
    ["the command's own", ['sh', '-c', 'echo out; echo err >&2; exit 3'], 3, 'out\n', 'err\n'],
    ['128 + the signal that ended it', ['sh', '-c', 'kill -TERM $$'], 143, '', ''],
    ['126 for what cannot be executed', ['/etc/passwd'], 126, '', 'cellwall: the program "/etc/passwd" cannot be started: permission is denied\n'],
    ['127 for what does not exist', ['no such program'], 127, '', 'cellwall: the program "no such program" cannot be started: it does not exist\n'],
  ])('%s, and nothing of ours is printed beside it', async (_, command, code, stdout, stderr) => {
    const home = makeHome();
    const look = watchHost(home);
    const finished = await runCellwall([...QUIET, '--', ...command], { home });
    expect({ ...finished, stdout: String(finished.stdout) }).toEqual({ code, stdout, stderr });
    expect(look()).toEqual(NOTHING);
  });

  it('124 when its time was over: it and all that it started are killed', async () => {
    const home = makeHome();
    const look = watchHost(home);
    const { code, stdout, stderr } = await runCellwall(
      ['run', '--context', 'none', '--timeout', '0.5', '--', 'sh', '-c', 'trap "" TERM; echo on; sleep 1000 & sleep 1000'],
      { home },
    );
    expect([code, String(stdout)]).toEqual([124, 'on\n']);
    expect(stderr).toMatch(/^cellwall: warning: the command was killed after 0\.\d s: its time was over \(--timeout\)$/m);
    expect(look()).toEqual(NOTHING);
  });

  it.each([
    ['no command', ['run', '--'], /COMMAND is missing/],
    ['an unknown option', ['run', '--no-such', '--', 'true'], /--no-such/],
    ['a time that is none', ['run', '--timeout', 'soon', '--', 'true'], /--timeout: expected seconds/],
    ['a variable without a name', ['run', '--env', '=x', '--', 'true'], /--env: expected K=V/],
    ['an unknown policy', ['run', '--policy', 'nope', '--', 'true'], /policy "nope" is unknown/],
    ['a context that is not there', ['run', '--context', 'nope', '--', 'true'], /there is no such directory/],
    ['more time than the policy has', [...QUIET, '--timeout', '9999', '--', 'true'], /exceeds the 3600000 that policy "offline" allows/],
  ])('125, with the reason, when cellwall fails: %s', async (_, args, reason) => {
    const home = makeHome();
    const look = watchHost(home);
    const { code, stdout, stderr } = await runCellwall(args, { home });
    expect([code, String(stdout)]).toEqual([125, '']);
    expect(stderr).toMatch(reason);
    expect(look()).toEqual(NOTHING);
  });

  it('125 without a runsc, with the way to one', async () => {
    const { code, stderr } = await runCellwall([...QUIET, '--', 'true'], { home: makeHome({ runsc: false }), env: { PATH: '/nonexistent' } });
    expect([code, stderr]).toEqual([125, expect.stringContaining('hint: run `cellwall setup`')]);
  });
});

describe('what passes through', () => {
  it('bytes of any kind come back as they went', async () => {
    const stdin = randomBytes(5 * 1024 * 1024);
    const { code, stdout, stderr } = await runCellwall([...QUIET, '--', 'cat'], { stdin });
    expect([code, stdout.length, sha256(stdout), stderr]).toEqual([0, stdin.length, sha256(stdin), '']);
  });

  it('a command waits for a reader that is slow, and its giver for the command; nothing is left out', async () => {
    const child = startCellwall({ args: [...QUIET, '--', 'cat'] });
    const piece = randomBytes(1024 * 1024);
    const [sent, hash, pieces] = [{ mib: 0 }, createHash('sha256'), 32];
    const given = (async () => {
      for (; sent.mib < pieces; sent.mib += 1) {
        hash.update(piece);
        if (!child.stdin.write(piece)) await once(child.stdin, 'drain');
      }
      child.stdin.end();
    })();
    await vi.waitFor(() => expect(sent.mib).toBeGreaterThan(7), 50_000); // as far as a command may be ahead of its reader
    const { code, stdout } = await finish(child);
    await given;
    expect([code, stdout.length, sha256(stdout)]).toEqual([0, pieces * piece.length, hash.digest('hex')]);
  });

  it('a command that reads no input ends all the same', async () => {
    const child = startCellwall({ args: [...QUIET, '--', 'echo', 'done'] });
    const { code, stdout } = await finish(child); // stdin stays open
    expect([code, String(stdout)]).toEqual([0, 'done\n']);
  });

  it('words stay words: there is no shell', async () => {
    const { stdout } = await runCellwall([...QUIET, '--', 'printf', '%s|', 'a b', '$HOME', '', '--', '--tty', '\u00fc\n']);
    expect(String(stdout)).toBe('a b|$HOME||--|--tty|\u00fc\n|');
  });

  it('a reader that goes away ends the command quietly, as in a pipeline', async () => {
    const home = makeHome();
    const look = watchHost(home);
    const script = '{ "$@"; echo "cellwall: $?" >&2; } | head -n 1';
    const { code, stdout, stderr } = await runBefore(['sh', '-c', script, 'sh'], [...QUIET, '--', 'yes'], { home });
    expect([code, String(stdout), stderr]).toEqual([0, 'y\n', 'cellwall: 141\n']);
    expect(look()).toEqual(NOTHING);
  });

  it('output that cannot be written is named', async () => {
    const { code, stderr } = await runBefore(['sh', '-c', '"$@" >/dev/full', 'sh'], [...QUIET, '--', 'echo', 'lost']);
    expect([code, stderr]).toEqual([125, 'cellwall: stdout cannot be written: ENOSPC; the command was killed\n']);
  });

  it('a pipe that others write to as well stays as it is for them', async () => {
    // Inside: "go", then the end of stdin. Outside: what the kernel says of the shared pipe in between.
    const script = 'mkfifo in; "$@" <in & exec 3>in; until grep -q go seen 2>/dev/null; do :; done; cat /proc/self/fdinfo/1; exec 3>&-; wait';
    const { stdout } = await runBefore(['sh', '-c', `{ ${script}; } | tee seen`, 'sh'], [...QUIET, '--', 'sh', '-c', 'echo go; cat']);
    const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(String(stdout))?.[1] ?? '', 8);
    expect(flags & 0o4000, 'O_NONBLOCK').toBe(0);
  });

  it('variables are given by value or by name', async () => {
    const args = [...QUIET, '--env', 'A=1=2', '--env', 'B', '--env', 'C', '--env', 'D=', '--', 'env'];
    const { stdout } = await runCellwall(args, { env: { B: 'from here', E: 'not asked for' } });
    const lines = String(stdout).split('\n');
    expect(lines).toEqual(expect.arrayContaining(['A=1=2', 'B=from here', 'D=']));
    expect(lines.filter((line) => /^[CE]=/.test(line))).toEqual([]);
  });
});

describe('the workspace', () => {
  const project = (): string =>
    makeDirectory('project', (directory) => {
      writeFileSync(join(directory, 'a.txt'), 'as it was\n');
      writeFileSync(join(directory, '.env'), 'TOKEN=secret\n');
    });

  it('is a private copy of the working directory: changes stay inside, and what was left out is named', async () => {
    const cwd = project();
    const { code, stdout, stderr } = await runCellwall(['run', '--', 'sh', '-c', 'pwd; ls -A; cat a.txt; echo changed >a.txt'], { cwd });
    expect([code, String(stdout)]).toEqual([0, '/workspace\na.txt\nas it was\n']);
    expect(stderr).toMatch(/^cellwall: warning: left out of the copy: \.env \(.+\)$/m);
    expect(readFileSync(join(cwd, 'a.txt'), 'utf8')).toBe('as it was\n');
  });

  it('is a copy of the directory that --context names, from the working directory on', async () => {
    const directory = project();
    const { stdout } = await runCellwall(['run', '--context', '.', '--log-level', 'error', '--', 'ls', '-A'], {
      cwd: directory,
      env: { CLAUDE_PROJECT_DIR: '/' },
    });
    expect(String(stdout)).toBe('a.txt\n');
  });

  it('is empty with --context none, and where the working directory is no project, which is said', async () => {
    const none = await runCellwall([...QUIET, '--', 'ls', '-A'], { cwd: project() });
    expect([none.code, String(none.stdout), none.stderr]).toEqual([0, '', '']);
    const home = makeHome();
    const atHome = await runCellwall(['run', '--', 'ls', '-A'], { home });
    expect([atHome.code, String(atHome.stdout)]).toEqual([0, '']);
    expect(atHome.stderr).toContain('warning: the workspace is empty: ');
    expect(atHome.stderr).toContain('home directory, and is copied only where --context names it');
  });
});

describe('signals', () => {
  const start = (script: string, options: Parameters<typeof startCellwall>[0] = {}) => {
    const child = startCellwall({ ...options, args: [...QUIET, '--', 'sh', '-c', script] });
    const said = { stdout: '' };
    child.stdout.on('data', (bytes: Buffer) => (said.stdout += String(bytes)));
    const hears = (text: string): Promise<void> => vi.waitFor(() => expect(said.stdout).toContain(text), 50_000);
    return { child, hears, finished: finish(child) };
  };

  it.each([
    ['SIGINT', 'INT'],
    ['SIGTERM', 'TERM'],
    ['SIGHUP', 'HUP'],
    ['SIGQUIT', 'QUIT'],
  ] as const)('%s is handed on to the command, whose exit code counts', async (signal, name) => {
    const { child, hears, finished } = start(`trap 'echo got ${name}; exit 9' ${name}; echo ready; while :; do sleep 0.1; done`);
    await hears('ready');
    child.kill(signal);
    const { code, stdout } = await finished;
    expect([code, String(stdout)]).toEqual([9, `ready\ngot ${name}\n`]);
  });

  it('a second interruption kills a command that goes on after the first, with all that it started', async () => {
    const home = makeHome();
    const look = watchHost(home);
    const { child, hears, finished } = start(`trap 'echo no' INT; sleep 1000 & echo ready; while :; do sleep 0.1; done`, { home });
    await hears('ready');
    child.kill('SIGINT');
    await hears('no');
    child.kill('SIGINT');
    expect((await finished).code).toBe(137);
    expect(look()).toEqual(NOTHING);
  });

  it('one that comes while the sandbox is made leaves nothing', async () => {
    const home = makeHome();
    const look = watchHost(home);
    const { child, finished } = start('sleep 1000', { home });
    await vi.waitFor(() => expect(look().state).not.toEqual([]), 50_000);
    child.kill('SIGTERM');
    expect((await finished).code).toBe(143);
    expect(look()).toEqual(NOTHING);
  });

  it('one that comes when only a reader is waited for ends the waiting', async () => {
    const child = startCellwall({ args: [...QUIET, '--', 'sh', '-c', 'head -c 4000000 /dev/zero; echo written >&2'] });
    const said = { stderr: '' };
    child.stderr.on('data', (bytes: Buffer) => (said.stderr += String(bytes)));
    const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
    await once(child.stdout, 'readable'); // and is not read
    const again = setInterval(() => child.kill('SIGINT'), 100); // the first ones may find the command alive
    expect(await ended.finally(() => clearInterval(again))).toEqual([expect.toSatisfy((code) => code === 130 || code === 137), null]);
  });
});
