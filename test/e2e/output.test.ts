import { describe, expect, it } from 'vitest';
import { shareBox, type ExecAnswer } from './harness/box.ts';
import { mode } from './harness/mode.ts';

const box = shareBox();
const MIB = 1024 * 1024;
const GAP = /(?:^|\n)… (\d+) bytes omitted, see (\S+) …\n/;

// What a result shows of a stream, split at the line that tells what is missing.
const parts = (text: string): { head: string; omitted: number; path: string; tail: string } => {
  const [head = '', omitted = '0', path = '', tail = ''] = text.split(GAP);
  return { head, omitted: Number(omitted), path, tail };
};

const bytes = (text: string): number => Buffer.byteLength(text);
const python = (code: string): readonly string[] => ['python3', '-c', code];

describe(`the output of a command, as ${mode}`, () => {
  it('that fits is given as it is, in two streams', async () => {
    const answer = await box().exec('printf "a\\n\\n b"; printf "e\\tf" >&2');
    expect(answer).toMatchObject({ stdout: 'a\n\n b', stderr: 'e\tf', stdout_bytes: 5, stderr_bytes: 3, truncated: false });
    expect(answer.output_path).toBe(`/run/cellwall/${answer.exec_id}`);
    expect(await box().run(['cat', `${answer.output_path}/stdout`])).toBe('a\n\n b');
    expect(await box().read(`${answer.output_path}/stderr`)).toMatchObject({ type: 'file', size: 3 });
  });

  it('that is longer shows whole lines of head and tail, counts exactly what it leaves out, and says where it is', async () => {
    const answer = await box().exec('seq 100000');
    expect(answer).toMatchObject({ truncated: true, stdout_bytes: 588_895 });
    const { head, omitted, path, tail } = parts(answer.stdout);
    expect(path).toBe(`${answer.output_path}/stdout`);
    expect([head.slice(0, 6), tail.slice(-13)]).toEqual(['1\n2\n3\n', '99999\n100000\n']);
    expect(bytes(head) + 1 + bytes(tail) + omitted).toBe(answer.stdout_bytes);
    expect(bytes(answer.stdout)).toBeLessThan(8000 + 100);
    expect(await box().run(`wc -c < ${path}; sed -n 50000p ${path}`)).toBe('588895\n50000\n');
  });

  it('shares its bound between both streams, and takes another bound', async () => {
    const both = await box().exec('seq 100000; seq 100000 >&2');
    expect(bytes(both.stdout) + bytes(both.stderr)).toBeLessThan(8000 + 200);
    expect(Math.abs(bytes(both.stdout) - bytes(both.stderr))).toBeLessThan(200);
    const small = await box().exec('seq 1000', { max_output_bytes: 100 });
    expect([small.truncated, bytes(small.stdout) < 220]).toEqual([true, true]);
    const large = await box().exec('seq 100000', { max_output_bytes: 600_000 });
    expect([large.truncated, bytes(large.stdout)]).toEqual([false, 588_895]);
  });

  it('names for a model what looks like an error in what is left out', async () => {
    const { stdout } = await box().exec('seq 50000; echo "main.c:7: error: no such thing"; seq 50000');
    expect(stdout).toMatch(/bytes omitted, see \S+ …\n… in them: main\.c:7: error: no such thing\n/);
  });

  it('is never cut inside a character', async () => {
    for (const max_output_bytes of [1, 2, 3, 5, 997, 1000, 1001, 1002, 1003]) {
      const { stdout } = await box().exec(python('print("€🦀ä" * 5000, end="")'), { max_output_bytes });
      const { head, omitted, tail } = parts(stdout);
      expect(stdout).not.toContain('\uFFFD');
      expect(bytes(head) + bytes(tail) + omitted, `with ${max_output_bytes}`).toBe(45_000);
    }
  });

  it('that is no UTF-8 is shown as such and kept as it was', async () => {
    const { stdout, stdout_bytes, output_path } = await box().exec(String.raw`printf 'a\xffb\xe2\x82'`);
    expect([stdout, stdout_bytes]).toEqual(['a\uFFFDb\uFFFD', 5]);
    expect(await box().run(`od -An -tx1 ${output_path}/stdout`)).toBe(' 61 ff 62 e2 82\n');
  });

  it('is cleaned for a model, and only there', async () => {
    const { stdout, output_path } = await box().exec(String.raw`printf '\033[31mred\033[0m\n10%%\r50%%\r100%%\n\033]52;c;Zm9v\007x'`);
    expect(stdout).toBe('red\n100%\nx');
    expect(await box().run(`grep -c $'\\033' ${output_path}/stdout`)).toBe('2\n');
  });

  it('folds equal lines only where it has to be cut', async () => {
    expect((await box().exec('yes same | head -50')).stdout).toBe('same\n'.repeat(50));
    const { stdout, truncated } = await box().exec('yes same | head -5000');
    expect(truncated).toBe(true);
    expect(stdout).toMatch(/^same … this line \d+ times …\n… \d+ bytes omitted/);
  });

  it('of more than 16 MiB is a file of head, a line that counts, and tail', async () => {
    const total = 40 * MIB;
    const { stdout_bytes, output_path, stdout, truncated } = await box().exec(`seq -w 99999999 | head -c ${total}`);
    expect([stdout_bytes, truncated]).toEqual([total, true]);
    expect(parts(stdout).omitted).toBeGreaterThan(total - 8000);
    const file = `${output_path}/stdout`;
    const [size = 0, line = ''] = (await box().run(`stat -c %s ${file}; grep -a '^… [0-9]* bytes omitted …$' ${file}`)).split('\n');
    const omitted = Number(/\d+/.exec(line)?.[0]);
    expect(Number(size)).toBeLessThan(17 * MIB);
    expect(Number(size) - bytes(`${line}\n`) + omitted - total).toBeLessThanOrEqual(1); // the head may have needed a line's end
    const stream = (from: number, to: number): string => {
      const lines = Array.from({ length: Math.ceil((to - from) / 9) + 1 }, (_, index) => `${String(Math.floor(from / 9) + 1 + index).padStart(8, '0')}\n`);
      return lines.join('').slice(from % 9, (from % 9) + to - from);
    };
    expect(await box().run(`head -c 1000 ${file}; tail -c 1000 ${file}`)).toBe(stream(0, 1000) + stream(total - 1000, total));
  });

  it('is bounded on the host while the command writes, and told in parts that add up', async () => {
    const { exec_id, status } = await box().exec('head -c 200M /dev/zero | tr "\\0" "x"; read line', { keep_stdin: true, wait_ms: 500 });
    expect(status).toBe('running');
    await expect.poll(async () => (await box().wait(exec_id, { wait_ms: 0 })).stdout_bytes, { timeout: 20_000 }).toBe(200 * MIB);
    expect(await box().read(`/run/cellwall/${exec_id}/stdout`, { encoding: 'base64', max_bytes: 1 })).toMatchObject({
      size: expect.toSatisfy((size: number) => size < 41 * MIB) as number,
    });
    expect(await box().wait(exec_id, { close_stdin: true })).toMatchObject({ status: 'exited', stdout: '' });
  });

  it('cannot be forged by the command: it has pipes, and the files are read-only inside', async () => {
    const code =
      'import os, sys\nprint("said")\nsys.stdout.flush()\nfor act in (lambda: os.ftruncate(1, 0), lambda: os.lseek(1, 0, 0), lambda: os.ftruncate(1, 1 << 40)):\n  try: act(); print("done")\n  except OSError as e: print(e.errno)';
    expect((await box().exec(python(code))).stdout).toBe('said\n22\n29\n22\n');
    const { output_path } = await box().exec('echo true');
    for (const command of [`echo forged > ${output_path}/stdout`, `rm ${output_path}/stdout`, `touch ${output_path}/x`, `truncate -s 0 ${output_path}/stdout`])
      expect((await box().exec(command)).stderr).toMatch(/Read-only file system|Permission denied|not permitted/);
    // To its owner, whom an ordinary user's server is inside, gVisor says yes to this; the host does nothing.
    expect(await box().run(`chmod 777 ${output_path} 2>/dev/null; stat -c %a ${output_path}`)).toBe('755\n');
    expect(await box().run(`cat ${output_path}/stdout`)).toBe('true\n');
  });

  it('arrives whole from many commands at once', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => box().exec(`seq ${index} 20000 | sha256sum`)));
    const again = await box().run('for i in $(seq 0 11); do seq $i 20000 | sha256sum; done');
    expect(answers.map(({ stdout }: ExecAnswer) => stdout).join('')).toBe(again);
  });
});
