import { describe, expect, it } from 'vitest';
import { shareBox } from './harness/box.ts';
import { mode } from './harness/mode.ts';

const box = shareBox();
const LOOK = ['python3', '-c', 'import os; print([os.isatty(fd) for fd in range(3)], *os.get_terminal_size(), sep=" ")'];

describe(`a command on a terminal, as ${mode}`, () => {
  it('has one on all three descriptors, of the size that was asked for', async () => {
    expect(await box().exec(LOOK, { tty: true })).toMatchObject({
      exit_code: 0,
      stdout: expect.stringContaining('[True, True, True] 80 24') as string,
      stderr: '',
    });
    expect(await box().exec(LOOK, { tty: true, rows: 50, cols: 132 })).toMatchObject({ stdout: expect.stringContaining(' 132 50') as string });
    expect(await box().exec('test -t 0 || echo none')).toMatchObject({ stdout: 'none\n' });
  });

  it('writes both streams to stdout', async () => {
    expect(await box().exec('echo out; echo err >&2', { tty: true })).toMatchObject({ stdout: 'out\r\nerr\r\n', stderr: '', stderr_bytes: 0 });
  });

  it('is typed to, hears of a new size, and ends at the end of input', async () => {
    const { exec_id, status } = await box().exec('trap "stty size" WINCH; stty -echo; echo ready; while read line; do echo "got $line"; done; echo end', {
      tty: true,
      wait_ms: 1000,
    });
    expect(status).toBe('running');
    expect((await box().wait(exec_id, { stdin: 'hello\n', wait_ms: 500 })).stdout).toContain('got hello');
    await box().wait(exec_id, { rows: 10, cols: 20, wait_ms: 0 });
    expect((await box().wait(exec_id, { stdin: '\n', wait_ms: 500 })).stdout).toContain('10 20');
    expect(await box().wait(exec_id, { close_stdin: true })).toMatchObject({ status: 'exited', stdout: expect.stringContaining('end') as string });
  });

  it('is interrupted by Ctrl-C, and so is what runs in its foreground', async () => {
    const { exec_id } = await box().exec('bash -i', { tty: true, wait_ms: 500 });
    await box().wait(exec_id, { stdin: 'sleep 1000\n', wait_ms: 500 });
    await box().wait(exec_id, { stdin: '\u0003', wait_ms: 500 });
    const answer = await box().wait(exec_id, { stdin: 'echo "code $?"; exit 5\n' });
    expect(answer).toMatchObject({ status: 'exited', exit_code: 5 });
    expect(await box().run(['cat', `${answer.output_path}/stdout`])).toContain('code 130');
  });

  it('that is alone with it ends by Ctrl-C with the signal', async () => {
    const { exec_id } = await box().exec(['sleep', '1000'], { tty: true, wait_ms: 300 });
    expect(await box().wait(exec_id, { stdin: '\u0003' })).toMatchObject({ status: 'signaled', signal: 'SIGINT' });
  });

  it('and all on it are killed when its time is over', async () => {
    expect(await box().exec('cat & sleep 1000', { tty: true, timeout_ms: 400 })).toMatchObject({ status: 'timed_out', signal: 'SIGKILL' });
  });
});
