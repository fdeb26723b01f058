import { describe, expect, it } from 'vitest';
import { shareBoxOf, type ExecAnswer } from './harness/box.ts';
import { mode } from './harness/mode.ts';
import { refused } from './harness/refusals.ts';
import { shareServer } from './harness/server.ts';

const server = shareServer();
const box = shareBoxOf(server, () => ({ context: 'none', env: { FROM_CREATE: 'create', BOTH: 'create' } }));

const ended = (answer: ExecAnswer): Partial<ExecAnswer> => ({ status: answer.status, exit_code: answer.exit_code, signal: answer.signal });

describe(`a command, as ${mode}`, () => {
  it('that ends tells its exit code, and a failing one is a result', async () => {
    for (const code of [0, 1, 3, 127, 128, 255]) expect(ended(await box().exec(`exit ${code}`))).toEqual({ status: 'exited', exit_code: code, signal: null });
  });

  it('that is killed tells the signal by name', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGPIPE', 'SIGUSR1'])
      expect(ended(await box().exec(`kill -${signal.slice(3)} $$`))).toEqual({ status: 'signaled', exit_code: null, signal });
  });

  it('is a line for bash, or a program with its arguments as they are', async () => {
    expect(await box().run('set -o pipefail; printf %s "${BASH_VERSION:+bash} $0"')).toBe('bash /bin/bash');
    const odd = ['', ' ', '$HOME', '"\'`', '*', '\n', '\u{1f980}', '-n', ';rm -rf /'];
    expect(JSON.parse(await box().run(['python3', '-c', 'import sys, json; print(json.dumps(sys.argv[1:]))', ...odd]))).toEqual(odd);
  });

  it('may be longer than one argument can be', async () => {
    const line = `# ${'x'.repeat(200_000)}\necho "$0 done"`;
    expect(await box().run(line)).toMatch(/ done\n$/);
    await refused('EXEC_FAILED', box().exec(['echo', 'x'.repeat(200_000)]));
  });

  it('runs in /workspace, or where it is told to', async () => {
    await box().run('mkdir -p sub/dir');
    expect(await box().run(['pwd'])).toBe('/workspace\n');
    expect(await box().run(['pwd'], { cwd: 'sub/dir' })).toBe('/workspace/sub/dir\n');
    expect(await box().run(['pwd'], { cwd: '/usr/lib' })).toBe('/usr/lib\n');
  });

  it('sees the variables of the sandbox and its own, and later wins', async () => {
    expect(await box().run('echo "$FROM_CREATE $BOTH $OWN"')).toBe('create create \n');
    expect(await box().run('echo "$FROM_CREATE $BOTH $OWN"', { env: { BOTH: 'exec', OWN: 'own' } })).toBe('create exec own\n');
    expect(await box().run('echo "$BOTH$OWN"')).toBe('create\n');
    expect(await box().run('echo "$HOME"', { env: { HOME: '/tmp' } })).toBe('/tmp\n');
  });

  it('that still runs is told as running, and nothing that it wrote is told twice', async () => {
    const started = await box().exec('echo one; read line; echo "two $line"; exit 4', { keep_stdin: true, wait_ms: 1000 });
    expect(started).toMatchObject({ status: 'running', exit_code: null, signal: null, stdout: 'one\n' });
    const { exec_id } = started;
    const { sandboxes } = await server().call('sandbox_list');
    expect(sandboxes).toMatchObject([{ running: [exec_id] }]);
    expect(await box().wait(exec_id, { wait_ms: 0 })).toMatchObject({ status: 'running', stdout: '', stdout_bytes: 4 });
    const done = await box().wait(exec_id, { stdin: 'more\n' });
    expect(done).toMatchObject({ exec_id, status: 'exited', exit_code: 4, stdout: 'two more\n', stdout_bytes: 13 });
    expect(await box().wait(exec_id)).toMatchObject({ status: 'exited', exit_code: 4, stdout: '' });
    expect((await refused('EXEC_FAILED', box().wait(exec_id, { stdin: 'late\n' }))).message).toMatch(/it has ended/);
  });

  it('that is not waited for answers at once', async () => {
    const { status, exec_id } = await box().exec('sleep 1000', { wait_ms: 0 });
    expect(status).toBe('running');
    expect(ended(await box().wait(exec_id, { signal: 'KILL' }))).toEqual({ status: 'signaled', exit_code: null, signal: 'SIGKILL' });
  });
});

describe(`standard input, as ${mode}`, () => {
  it('is the text that was given, then its end; and its end at once where there is none', async () => {
    expect(await box().run(['cat'])).toBe('');
    expect(await box().run(['cat'], { stdin: 'ä\nno newline' })).toBe('ä\nno newline');
    expect(await box().run(['wc', '-c'], { stdin: 'x'.repeat(3_000_000) })).toBe('3000000\n');
  });

  it('that a command does not read is no failure', async () => {
    expect(await box().run('exec <&-; echo done', { stdin: 'x'.repeat(3_000_000) })).toBe('done\n');
  });

  it('stays open when it is kept, until it is closed', async () => {
    const { exec_id } = await box().exec(['cat'], { stdin: 'a', keep_stdin: true, wait_ms: 0 });
    expect(await box().wait(exec_id, { stdin: 'b', wait_ms: 0 })).toMatchObject({ status: 'running' });
    expect(await box().wait(exec_id, { stdin: 'c', close_stdin: true })).toMatchObject({ status: 'exited', exit_code: 0, stdout_bytes: 3 });
  });

  it('that was not kept takes nothing more', async () => {
    const { exec_id } = await box().exec('sleep 1000', { wait_ms: 0 });
    const error = await refused('EXEC_FAILED', box().wait(exec_id, { stdin: 'x' }));
    expect([error.message, error.hint]).toEqual([expect.stringMatching(/closed/), expect.stringMatching(/keep_stdin/)]);
    await box().wait(exec_id, { signal: 'KILL' });
  });
});

describe(`signals, as ${mode}`, () => {
  it('are taken with and without SIG, and reach the command', async () => {
    const { exec_id } = await box().exec('trap "echo usr1" USR1; trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done', { wait_ms: 1000 });
    expect(await box().wait(exec_id, { signal: 'SIGUSR1', wait_ms: 1000 })).toMatchObject({ status: 'running', stdout: 'usr1\n' });
    expect(await box().wait(exec_id, { signal: 'TERM' })).toMatchObject({ status: 'exited', exit_code: 9 });
    expect(await box().wait(exec_id, { signal: 'TERM' })).toMatchObject({ status: 'exited', exit_code: 9 });
  });

  it('of a name that there is not are refused', async () => {
    const { exec_id } = await box().exec('sleep 1000', { wait_ms: 0 });
    for (const signal of ['SIGNONE', '9', 'kill', '', '__proto__'])
      expect((await refused('INVALID_PARAMS', box().wait(exec_id, { signal }))).message).toMatch(/`signal`/);
    await box().wait(exec_id, { signal: 'KILL' });
  });

  it('KILL ends all that the command has started, daemons too', async () => {
    const { exec_id } = await box().exec(DAEMON('killed'), { wait_ms: 1000 });
    await alive('killed', 2);
    expect(ended(await box().wait(exec_id, { signal: 'SIGKILL' }))).toEqual({ status: 'signaled', exit_code: null, signal: 'SIGKILL' });
    await alive('killed', 0);
  });
});

describe(`time and cancellation, as ${mode}`, () => {
  it('a command that takes too long is killed with all that it has started, though it ignores signals', async () => {
    const answer = await box().exec(`trap "" TERM INT HUP; ${DAEMON('late')}`, { timeout_ms: 1500 });
    expect(ended(answer)).toEqual({ status: 'timed_out', exit_code: null, signal: 'SIGKILL' });
    await alive('late', 0);
  });

  it('the clock does not stop when nobody waits', async () => {
    const { exec_id } = await box().exec('sleep 1000', { timeout_ms: 300, wait_ms: 0 });
    expect(ended(await box().wait(exec_id))).toEqual({ status: 'timed_out', exit_code: null, signal: 'SIGKILL' });
  });

  it('the clock ends with the first process: what it leaves runs on, writes on, and is listed', async () => {
    const { exec_id, ...answer } = await box().exec('(sleep 0.5; echo later; exec -a left sleep 1000) & exit 0', { timeout_ms: 400 });
    expect(ended(answer as ExecAnswer)).toEqual({ status: 'exited', exit_code: 0, signal: null });
    await expect.poll(() => box().read(`/run/cellwall/${exec_id}/stdout`)).toMatchObject({ size: 6 });
    const { content } = await server().callRaw('sandbox_read', { sandbox_id: box().id, path: `/run/cellwall/${exec_id}/stdout` });
    expect(content[0]?.text).toMatch(/\nlater\n$/);
    expect((await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [exec_id] }]);
    await box().run('pkill -f left');
    await expect.poll(async () => (await server().call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [] }]);
  });

  it('a time-out of 0 is none', async () => {
    const { exec_id, status } = await box().exec('sleep 1000', { timeout_ms: 0, wait_ms: 500 });
    expect(status).toBe('running');
    await box().wait(exec_id, { signal: 'KILL' });
  });

  it('cancelling an exec kills what it started, cancelling a wait ends the wait alone', async () => {
    const cancelled = new AbortController();
    const call = box().exec(DAEMON('cancelled'), {}, { signal: cancelled.signal });
    await alive('cancelled', 2);
    cancelled.abort();
    await expect(call).rejects.toThrow(/abort/i);
    await alive('cancelled', 0);

    const { exec_id } = await box().exec('read line; echo "got $line"', { keep_stdin: true, wait_ms: 0 });
    const waiting = new AbortController();
    const wait = box().wait(exec_id, {}, { signal: waiting.signal });
    waiting.abort();
    await expect(wait).rejects.toThrow(/abort/i);
    expect(await box().wait(exec_id, { stdin: 'it\n' })).toMatchObject({ status: 'exited', stdout: 'got it\n' });
  });
});

/** A shell line that waits for a daemon of its own: another session, another parent, signals ignored. */
const DAEMON = (name: string): string =>
  `echo 'trap "" TERM INT HUP; while :; do sleep 1; done' > /tmp/${name}.sh; (setsid bash /tmp/${name}.sh > /dev/null 2>&1 &); bash /tmp/${name}.sh`;

// How many processes run the script of this name.
const alive = async (name: string, count: number): Promise<void> => {
  await expect.poll(async () => (await box().exec(`pgrep -c -f '^bash /tmp/${name}.sh'`)).stdout, { timeout: 10_000 }).toBe(`${count}\n`);
};
