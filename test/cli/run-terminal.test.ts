import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { runBefore } from '../e2e/harness/command.ts';
import { makeHome } from '../e2e/harness/home.ts';
import { installation } from '../e2e/harness/installation.ts';
import { NOTHING, watchHost } from '../e2e/harness/looks.ts';
import { mode } from '../e2e/harness/mode.ts';
import { itWith } from '../requirements.ts';

/** What is done at the terminal when a text has appeared on it. */
type Step =
  | readonly [text: string, action: 'type' | 'signal', value: string]
  | readonly [text: string, action: 'resize', size: readonly [number, number]]
  | readonly [text: string, action: 'hangup', nothing: null];

const Seen = z.strictObject({
  code: z.int(),
  output: z.string(),
  raw: z.array(z.boolean()),
  restored: z.boolean().nullable(),
  left: z.array(z.unknown()),
});

/** Runs `cellwall run OPTIONS… -- sh -c SCRIPT` on a terminal of 33 lines and 111 columns and takes the steps there. */
const atTerminal = async (steps: readonly Step[], options: readonly string[], script: string, home = makeHome()): Promise<z.output<typeof Seen>> => {
  const fixture = join(installation().root, 'test/fixtures/terminal.py');
  const { stdout, stderr } = await runBefore(
    ['python3', fixture, JSON.stringify(steps)],
    ['run', '--context', 'none', '--log-level', 'error', ...options, '--', 'sh', '-c', script],
    { home, env: { TERM: 'vt220' } },
  );
  expect(stderr).toBe('');
  return Seen.parse(JSON.parse(String(stdout)));
};

describe(`with --tty, cellwall as ${mode}`, () => {
  itWith(['python3'], 'a command has a terminal of the size and kind of ours, which is raw meanwhile and afterwards as it was', async () => {
    const home = makeHome();
    const look = watchHost(home);
    const { code, output, raw, restored } = await atTerminal(
      [['name?', 'type', 'yÿ\r']],
      ['--tty'],
      'stty size; echo $TERM; test -t 0 -a -t 1 -a -t 2 && echo name?; read name; echo "$name."; exit 4',
      home,
    );
    expect({ code, output, raw, restored }).toEqual({ code: 4, output: '33 111\r\nvt220\r\nname?\r\nyÿ\r\nyÿ.\r\n', raw: [true], restored: true });
    expect(look()).toEqual(NOTHING);
  });

  itWith(['python3'], 'it follows when ours is resized', async () => {
    const { output } = await atTerminal(
      [
        ['ready', 'resize', [40, 100]],
        ['40 100', 'type', 'x\r'],
      ],
      ['--tty'],
      `trap 'stty size' WINCH; echo ready; until read -r x; do :; done`,
    );
    expect(output).toContain('ready\r\n40 100\r\n');
  });

  itWith(['python3'], 'Ctrl-C and Ctrl-\\ are keys: they interrupt what runs in its foreground', async () => {
    const { code, output, restored } = await atTerminal(
      [
        ['ready', 'type', '\u0003'],
        ['got INT', 'type', '\u001c'],
      ],
      ['--tty'],
      `trap 'echo got INT' INT; trap 'echo got QUIT; exit 6' QUIT; echo ready; while :; do sleep 0.1; done`,
    );
    expect({ code, restored }).toEqual({ code: 6, restored: true });
    expect(output).toMatch(/^ready\r\n/); // then in an order that two kernels decide, and the shell may tell what became of `sleep`
    for (const said of ['^C', 'got INT\r\n', '^\\', 'got QUIT\r\n']) expect(output).toContain(said);
  });

  itWith(['python3'], 'a program that wants every key gets Ctrl-C as a byte, and prints without a carriage return', async () => {
    const { output } = await atTerminal([['ready', 'type', '\u0003']], ['--tty'], 'stty raw -echo; printf "ready\\n"; head -c 1 | od -An -tx1');
    expect(output).toBe('ready\n 03\n');
  });

  itWith(['python3'], 'a signal to cellwall goes to the command, and the terminal is brought back', async () => {
    const { code, raw, restored } = await atTerminal([['ready', 'signal', 'SIGTERM']], ['--tty'], 'echo ready; sleep 1000');
    expect({ code, raw, restored }).toEqual({ code: 143, raw: [true], restored: true });
  });

  itWith(['python3'], 'what is said after the end is said to a terminal that is as it was', async () => {
    const { output } = await atTerminal([], ['--tty', '--timeout', '0.2', '--log-level', 'warn'], 'echo on; sleep 1000');
    expect(output).toMatch(/on\r\ncellwall: warning: the command was killed .*\r\n$/);
  });

  it('input that comes from no terminal is typed into one, its end as Ctrl-D', async () => {
    const { code, stdout } = await runBefore(
      ['sh', '-c', 'echo typed | "$@"', 'sh'],
      ['run', '--context', 'none', '--log-level', 'error', '--tty', '--', 'sh', '-c', 'stty size; cat'],
    );
    expect([code, String(stdout).split('\r\n').toSorted()]).toEqual([0, ['', '24 80', 'typed', 'typed']]); // echoed and printed
  });
});

describe('without --tty', () => {
  itWith(['python3'], 'a terminal stays as it is, Ctrl-C is handed on, and a second one kills', async () => {
    const { code, output, raw } = await atTerminal(
      [
        ['ready', 'type', '\u0003'],
        ['got INT', 'type', '\u0003'],
      ],
      [],
      `test -t 0 || echo no terminal; trap 'echo got INT' INT; echo ready; while :; do sleep 0.1; done`,
    );
    expect({ code, raw }).toEqual({ code: 137, raw: [false, false] });
    expect(output).toBe('no terminal\r\nready\r\n^Cgot INT\r\n^C');
  });

  itWith(['python3'], 'Ctrl-D is the end of the input', async () => {
    const { code, output } = await atTerminal([['ready', 'type', 'some\r\u0004']], [], 'echo ready; cat; exit 2');
    expect([code, output]).toEqual([2, 'ready\r\nsome\r\nsome\r\n']);
  });
});

itWith(['python3'], 'when the terminal goes away, so do the command and its sandbox', async () => {
  for (const options of [['--tty'], []]) {
    const home = makeHome();
    const look = watchHost(home);
    const { code } = await atTerminal([['ready', 'hangup', null]], options, 'echo ready; sleep 1000', home);
    expect(code).toBe(129);
    expect(look()).toEqual(NOTHING);
  }
});
