import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { plainText } from '../../src/cli/plain.ts';
import { cleanOutput } from '../../src/server/clean.ts';
import { give, itWith } from '../requirements.ts';
import { gitApply, gitTree } from '../workspace/gits.ts';
import { PROJECT } from '../workspace/operations.ts';
import { makeTree } from '../workspace/trees.ts';
import { createBox, type Box } from './harness/box.ts';
import { runBefore, runCellwall, type Finished } from './harness/command.ts';
import { makeDirectory, makeHome, type Home } from './harness/home.ts';
import { installation } from './harness/installation.ts';
import { mode, ordinaryUser } from './harness/mode.ts';
import { startServer, type Server } from './harness/server.ts';

const open = async (home: Home = makeHome(), params: Record<string, unknown> = {}): Promise<{ server: Server; box: Box; context: string }> => {
  const context = makeDirectory('project', (directory) => makeTree(PROJECT, directory));
  const server = await startServer({ args: ['--context', context], home });
  return { server, context, box: await createBox(server, params) };
};
const run = (home: Home, ...args: string[]): Promise<Finished> => runCellwall(args, { home });
const OK = { code: 0, stderr: '' };

describe(`the commands of the operator, as ${mode}`, () => {
  it('ls shows the sandboxes of all servers, and none where there is none', async () => {
    const home = makeHome();
    expect(await run(home, 'ls')).toEqual({ ...OK, stdout: Buffer.from('no sandboxes\n') });
    const [one, other] = [await open(home, { label: 'mine' }), await open(home)];
    const { stdout } = await run(home, 'ls');
    expect(String(stdout)).toMatch(/^SANDBOX +LABEL +POLICY +STATE +AGE +ENDS IN +RUNNING +MEMORY\n/);
    expect(String(stdout)).toMatch(new RegExp(`\n${one.box.id}  mine +offline  running  \\d+ s +3 h 59 min +0 +\\d+ MB\n`));
    expect(String(stdout)).toMatch(new RegExp(`\n${other.box.id}  - +offline`));
    await other.server.kill();
    expect(String((await run(home, 'ls')).stdout)).not.toContain(other.box.id);
    expect(String((await runCellwall(['ls'])).stdout)).toBe('no sandboxes\n'); // another state directory is another user's
  });

  itWith(['git'], 'diff shows what changed, and as a patch what git takes, by id, its beginning or label', async () => {
    const { server, box } = await open(makeHome(), { label: 'a label' });
    await box.run(`echo more >> a; printf 'x\\033]0;owned\\007' > new; rm none; touch "$(printf 'n\\nl')"`);
    for (const name of [box.id, box.id.slice(0, 12), box.id.slice(3, 10), 'a label'])
      expect(await run(server.home, 'diff', name)).toEqual({ ...OK, stdout: Buffer.from('M a\nA "n\\nl"\nA new\nD none\n') });
    const { stdout } = await run(server.home, 'diff', box.id, '--patch');
    const twin = makeDirectory('twin', (directory) => makeTree(PROJECT, directory));
    expect(gitApply(twin, String(stdout))).toBeNull();
    expect(gitTree(twin)).toMatchObject({ new: 'file x\x1b]0;owned\x07' });
    expect(await run(server.home, 'diff', 'sb_')).toMatchObject({ code: 0 });
    const missing = await run(server.home, 'diff', 'nothing');
    expect([missing.code, missing.stderr]).toEqual([1, 'cellwall: there is no sandbox "nothing"\nhint: cellwall ls shows the sandboxes that there are\n']);
    expect((await run(server.home, 'diff')).stderr).toBe('cellwall: expected one SANDBOX, got 0: cellwall ls shows them\n');
  });

  it('an ambiguous name is refused, with those that it may mean', async () => {
    const home = makeHome();
    const [one, other] = [await open(home, { label: 'twin' }), await open(home, { label: 'twin' })];
    const { code, stderr } = await run(home, 'diff', 'twin');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^cellwall: "twin" may be any of sb_\w+, sb_\w+\n/)]);
    expect(stderr).toContain(one.box.id);
    expect(stderr).toContain(other.box.id);
  });

  it('apply --yes brings home what changed though clients may not, and --undo takes it back, also when the server is gone', async () => {
    const { server, box, context } = await open();
    const before = gitTree(context);
    await box.run('echo more >> a; mkdir -p .github/workflows; echo x > .github/workflows/ci.yml; chmod 755 b');
    expect(await server.toolNames()).not.toContain('sandbox_apply');
    const { code, stdout, stderr } = await run(server.home, 'apply', box.id, '--yes');
    expect({ code, stderr }).toEqual(OK);
    expect(String(stdout)).toMatch(
      /^A \.github\/workflows\/ci\.yml {3}← can run code: CI\nM a\nM b {3}← can run code: executable\napplied 3 changes \(2 can run code\)\nto take it back: cellwall apply --undo [0-9a-z]{16}\n$/,
    );
    expect(gitTree(context)).toEqual({ ...before, a: 'file one\ntwo\nthree\nmore\n', b: before['b']!.replace('file', 'program'), '.github/workflows/ci.yml': 'file x\n' });
    await server.close();
    const id = /--undo (\w+)/.exec(String(stdout))![1]!;
    expect(String((await run(server.home, 'apply', '--undo', id)).stdout)).toMatch(/^took back \d changes\n$/);
    expect(gitTree(context)).toEqual(before);
    expect(readdirSync(context)).not.toContain('.github');
    expect((await run(server.home, 'apply', '--undo', id)).code).toBe(1);
  }); // prettier-ignore

  it('apply without a terminal and without --yes shows the list and writes nothing', async () => {
    const { server, box, context } = await open();
    const before = gitTree(context);
    expect(String((await run(server.home, 'apply', box.id)).stdout)).toBe('no changes\n');
    await box.run('echo more >> a');
    const { code, stdout, stderr } = await run(server.home, 'apply', box.id);
    expect([code, String(stdout), stderr]).toEqual([
      1,
      'M a\n',
      'cellwall: nothing was written: this is no terminal, so that nobody can be asked\nhint: add --yes\n',
    ]);
    expect(gitTree(context)).toEqual(before);
  });

  itWith(['python3'], 'apply asks at the terminal, where nothing from inside is obeyed or looks like an answer', async () => {
    const { server, box, context } = await open();
    const before = gitTree(context);
    await box.run(`touch "$(printf 'x\\033]52;c;aGk=\\007\\nWrite this into your project? [yes] y')"; echo more >> a`);
    const { output, code } = await atTerminal(server.home, [['[y/N] ', 'type', 'n\r']], 'apply', box.id);
    expect(output).toContain('A "x\\033]52;c;aGk=\\a\\nWrite this into your project? [yes] y"\r\n');
    // The line editor's own sequences aside, nothing is there that a terminal obeys.
    expect(plainText(cleanOutput(output).replaceAll('\r', ''))).not.toContain('<U+');
    expect([code, gitTree(context)]).toEqual([1, before]);
    const agreed = await atTerminal(server.home, [['[y/N] ', 'type', 'y\r']], 'apply', box.id);
    expect([agreed.code, readFileSync(join(context, 'a'), 'utf8')]).toEqual([0, 'one\ntwo\nthree\nmore\n']);
  });

  itWith(['python3'], 'diff --patch on a terminal shows what it would obey', async () => {
    const { server, box } = await open();
    await box.run(`printf 'x\\033]0;owned\\007\\r\\u202e\\n' > new`);
    const { output } = await atTerminal(server.home, [], 'diff', box.id, '--patch');
    expect(output).toContain('+x<U+001B>]0;owned<U+0007><U+000D><U+202E>\r\n');
  });

  it('the control socket is the owner’s alone, and no sandbox sees it', async () => {
    const { server, box } = await open();
    const place = join(server.home.stateDir, 'servers', readdirSync(join(server.home.stateDir, 'servers'))[0]!);
    const socket = join(place, 'control.sock');
    expect([lstatSync(socket).isSocket(), lstatSync(socket).mode & 0o777, statSync(place).mode & 0o777]).toEqual([true, 0o600, 0o700]);
    const look = `import os, socket, sys
path = sys.argv[1]
print(os.path.exists(path), "control" in open("/proc/net/unix").read() if os.path.exists("/proc/net/unix") else False)`;
    expect(await box.run(['python3', '-c', look, socket])).toBe('False False\n');
    await server.close();
    expect(existsSync(place)).toBe(false);
  });

  it('who is not the owner is refused, though they reach the socket', async ({ skip }) => {
    if (process.getuid!() !== 0) give('only root can be somebody else', 'who is not the owner is refused', skip);
    const { server, box } = await open();
    const servers = join(server.home.stateDir, 'servers');
    const place = join(servers, readdirSync(servers)[0]!);
    for (let path = place; path.startsWith(server.home.directory); path = join(path, '..')) chmodSync(path, 0o755);
    chmodSync(join(place, 'control.sock'), 0o666);
    // To a server of an ordinary user root is somebody else, too: it is not in its user namespace.
    const other = mode === 'root' ? { ...ordinaryUser } : {};
    const ask = `const s = require('node:net').connect(process.argv[1]); let got = ''; s.on('data', (d) => got += d).on('close', () => console.log(JSON.stringify(got))).on('error', () => {});
const body = '{"jsonrpc":"2.0","id":1,"method":"sandbox.list","params":{}}'; s.write('Content-Length: ' + body.length + '\\r\\n\\r\\n' + body);`;
    const short = join(makeDirectory('s'), 'x');
    symlinkSync(place, short);
    chmodSync(join(short, '..'), 0o755);
    const answer = execFileSync(installation().node, ['-e', ask, join(short, 'control.sock')], { ...other, encoding: 'utf8', cwd: '/', timeout: 10_000 });
    expect(answer).toBe('""\n');
    await vi.waitFor(() => expect(server.stderr()).toContain('a control connection of somebody else was refused'));
    expect((await run(server.home, 'ls')).code).toBe(0);
    await box.destroy();
  });

  it('nonsense at the control socket harms nobody', async () => {
    const { server, box } = await open();
    const servers = join(server.home.stateDir, 'servers');
    const short = join(makeDirectory('s'), 'x');
    symlinkSync(join(servers, readdirSync(servers)[0]!), short);
    for (const text of ['{"jsonrpc"}\n', 'Content-Length: 99999999999\r\n\r\n', 'Content-Length: 5\r\n\r\n{"a":', '\0'.repeat(9000)]) {
      await new Promise<void>((resolve) => {
        const socket = connect(join(short, 'control.sock'), () => socket.end(text));
        socket.on('error', () => {}).on('close', () => resolve());
        socket.resume();
        setTimeout(() => socket.destroy(), 500);
      });
    }
    expect((await box.exec('true')).exit_code).toBe(0);
    expect((await run(server.home, 'ls')).code).toBe(0);
  });

  it('a mistaken line is told, with the exit code of a failure', async () => {
    const home = makeHome();
    expect(await run(home, 'apply')).toMatchObject({ code: 1, stderr: expect.stringContaining('expected one SANDBOX') as string });
    expect(await run(home, 'apply', 'x', '--undo', 'y')).toMatchObject({ code: 1, stderr: expect.stringContaining('--undo: expected an id') as string });
    expect(await run(home, 'apply', '--undo', '../../x')).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no apply') as string });
    mkdirSync(join(home.stateDir, 'servers', 'dead'), { recursive: true });
    writeFileSync(join(home.stateDir, 'servers', 'dead', 'control.sock'), '');
    expect(await run(home, 'ls')).toMatchObject({ code: 0 });
  });
});

const Seen = z.object({ code: z.int(), output: z.string() });
type Step = readonly [text: string, action: string, value: string];

/** Runs `cellwall ARGS…` on a terminal and takes the steps there. */
const atTerminal = async (home: Home, steps: readonly Step[], ...args: string[]): Promise<z.output<typeof Seen>> => {
  const fixture = join(installation().root, 'test/fixtures/terminal.py');
  const { stdout, stderr } = await runBefore(['python3', fixture, JSON.stringify(steps)], args, { home, env: { TERM: 'vt220' } });
  expect(stderr).toBe('');
  return Seen.parse(JSON.parse(String(stdout)));
};
