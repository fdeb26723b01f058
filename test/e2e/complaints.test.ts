/** Twelve things that users of other products of this kind complain about, each as a claim about this one. */
import { describe, expect, it } from 'vitest';
import { createBox, shareBox } from './harness/box.ts';
import { mode } from './harness/mode.ts';

const box = shareBox();

const listening = 'import http.server, sys; http.server.HTTPServer(("127.0.0.1", 8123), http.server.SimpleHTTPRequestHandler).serve_forever()';

describe(`what others are blamed for does not happen here, as ${mode}`, () => {
  it('a time-out fires on time and keeps what was written until then', async () => {
    const answer = await box().exec('echo before; echo why >&2; sleep 1000; echo never', { timeout_ms: 700 });
    expect(answer).toMatchObject({ status: 'timed_out', exit_code: null, stdout: 'before\n', stderr: 'why\n' });
    expect([answer.duration_ms >= 690, answer.duration_ms < 10_000]).toEqual([true, true]);
  });

  it('a heredoc does not hang, nor do quotes, dollar signs and many lines', async () => {
    const script = [
      "cat > notes.md <<'EOF'",
      'a "quoted" $HOME `line`',
      "it's $(not run)",
      'EOF',
      'cat notes.md',
      'python3 - <<PY',
      'print("x" * 3)',
      'PY',
    ].join('\n');
    expect(await box().run(script)).toBe('a "quoted" $HOME `line`\nit\'s $(not run)\nxxx\n');
  });

  it('a command that waits for input that nobody gives does not hang', async () => {
    expect(await box().run('cat; read -r line; echo "code $?"')).toBe('code 1\n');
  });

  it('a stuck command does not poison the session', async () => {
    const { exec_id } = await box().exec('trap "" TERM INT HUP; while :; do sleep 1; done', { wait_ms: 0, timeout_ms: 0 });
    expect(await box().run('echo still answered')).toBe('still answered\n');
    expect(await box().wait(exec_id, { signal: 'TERM', wait_ms: 50 })).toMatchObject({ status: 'running' });
    expect(await box().wait(exec_id, { signal: 'KILL' })).toMatchObject({ status: 'signaled', signal: 'SIGKILL' });
    expect(await box().run('echo and after it')).toBe('and after it\n');
  });

  it('no exit 0 is told of what lives: not after the wait, and not when it is stopped', async () => {
    const { exec_id, ...begun } = await box().exec('kill -STOP $$; exit 7', { wait_ms: 300 });
    expect(begun).toMatchObject({ status: 'running', exit_code: null, signal: null });
    expect(await box().wait(exec_id, { wait_ms: 100 })).toMatchObject({ status: 'running', exit_code: null });
    expect(await box().wait(exec_id, { signal: 'CONT' })).toMatchObject({ status: 'exited', exit_code: 7 });
  });

  it('no exit 0 is told of what was killed', async () => {
    expect(await box().exec('kill -KILL $$')).toMatchObject({ status: 'signaled', exit_code: null, signal: 'SIGKILL' });
  });

  it('what was written is not lost when the command goes to the background', async () => {
    const begun = await box().exec('echo first; sleep 0.7; echo second; echo third', { wait_ms: 300 });
    expect(begun).toMatchObject({ status: 'running', stdout: 'first\n' });
    expect(await box().wait(begun.exec_id)).toMatchObject({ status: 'exited', stdout: 'second\nthird\n', stdout_bytes: 19 });
    expect(await box().run(`cat ${begun.output_path}/stdout`)).toBe('first\nsecond\nthird\n');
  });

  it('nothing is told again after a gap, however seldom one asks', async () => {
    const { exec_id, stdout } = await box().exec('for i in $(seq 30); do echo $i; sleep 0.03; done', { wait_ms: 0 });
    let told = stdout;
    for (let status = 'running'; status === 'running';) {
      const answer = await box().wait(exec_id, { wait_ms: 137 });
      told += answer.stdout;
      ({ status } = answer);
    }
    expect(told).toBe(Array.from({ length: 30 }, (_, index) => `${index + 1}\n`).join(''));
    expect(await box().wait(exec_id)).toMatchObject({ status: 'exited', stdout: '' });
  });

  it('stderr is neither merged into stdout nor empty', async () => {
    expect(await box().exec('echo out; echo err >&2; ls /nowhere')).toMatchObject({
      exit_code: 2,
      stdout: 'out\n',
      stderr: expect.stringMatching(/^err\n.*No such file/) as string,
    });
  });

  it('a server in the background outlives its command, is listed, and ends with SIGKILL to nothing else', async () => {
    const begun = await box().exec(`nohup python3 -c '${listening}' >server.log 2>&1 & echo started`);
    expect(begun).toMatchObject({ status: 'exited', exit_code: 0, stdout: 'started\n' });
    const ask = 'for i in $(seq 100); do (echo >/dev/tcp/127.0.0.1/8123) 2>/dev/null && echo up && exit; sleep 0.1; done; exit 1';
    expect(await box().run(ask)).toBe('up\n');
    expect((await box().server.call('sandbox_list'))['sandboxes']).toMatchObject([{ running: [begun.exec_id] }]);
  });

  it('a poll that is dropped does not kill the build', async () => {
    const { exec_id } = await box().exec('sleep 0.6; echo built', { wait_ms: 0 });
    const dropped = new AbortController();
    const poll = box().wait(exec_id, { wait_ms: 30_000 }, { signal: dropped.signal });
    poll.catch(() => undefined);
    dropped.abort();
    await expect(poll).rejects.toThrow();
    expect(await box().wait(exec_id)).toMatchObject({ status: 'exited', exit_code: 0, stdout: 'built\n' });
  });

  it('two sandboxes share no shell, no file and no process, and neither do two commands a variable', async () => {
    const other = await createBox(box().server);
    await box().run('export SECRET=1; cd /tmp; echo mine > /tmp/mine; (sleep 1000 >/dev/null 2>&1 &)');
    expect(await other.run('echo "${SECRET-none}"; ls /tmp; pgrep -c sleep || true; pwd')).toBe('none\n0\n/workspace\n');
    expect(await box().run('echo "${SECRET-none}"; pwd; cat /tmp/mine')).toBe('none\n/workspace\nmine\n');
    await other.destroy();
  });

  it('nothing that is valid is refused by a look at its text', async () => {
    expect(await box().run('mkdir -p junk && rm -rf junk /tmp/nothing && echo "rm -rf / ; :(){ :|:& };: ; curl http://x | sh" | wc -w')).toBe('12\n');
    expect(await box().exec('sudo true; shutdown now; dd if=/dev/zero of=/dev/sda count=1')).toMatchObject({ status: 'exited', exit_code: 1 });
    expect(await box().run(['printf', '%s', '&&;|$(x)`y`'])).toBe('&&;|$(x)`y`');
  });

  it('a daemon that holds the output open does not keep a command from returning', async () => {
    const answer = await box().exec('(setsid sh -c "until [ -e /tmp/go ]; do sleep 0.1; done; echo late" &) ; echo done');
    expect(answer).toMatchObject({ status: 'exited', exit_code: 0, stdout: 'done\n' });
    await box().run('touch /tmp/go');
    await expect.poll(() => box().run(`cat ${answer.output_path}/stdout`), { timeout: 10_000 }).toBe('done\nlate\n');
  });
});
