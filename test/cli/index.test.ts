import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readFileSync } from 'node:fs';
import { runCli } from '../../src/cli/index.ts';
import { commands, type Line } from '../../src/cli/commands.ts';
import { options, type Config } from '../../src/config.ts';
import { SandboxError } from '../../src/errors.ts';
import { log } from '../../src/log.ts';

const enclosure = {
  isInside: false,
  enter: () => {
    throw new Error('no command here goes one namespace down');
  },
  prove: () => {},
};
const surroundings = { env: { HOME: '/home/someone' }, cwd: '/w', platform: 'linux', enclosure } as const;
const said = { stdout: '', stderr: '' };

beforeEach(() => {
  Object.assign(said, { stdout: '', stderr: '' });
  for (const stream of ['stdout', 'stderr'] as const) vi.spyOn(process[stream], 'write').mockImplementation((text) => ((said[stream] += String(text)), true));
});
afterEach(() => {
  vi.restoreAllMocks();
  log.level = 'info';
});

/** Replaces a command's action and returns the configurations it was called with. */
const watch = (name: string, outcome: () => Promise<number> = async () => 0, lines: Line[] = []): Config[] => {
  const seen: Config[] = [];
  const command = commands.find((one) => one.name === name)!;
  vi.spyOn(command, 'run').mockImplementation((config, _, line) => (seen.push(config), lines.push(line), outcome()));
  return seen;
};
const run = (...argv: string[]): Promise<number> => runCli(argv, surroundings);

describe('commands', () => {
  test('without a name it serves, and --stdio is accepted', async () => {
    const seen = watch('serve', async () => 3);
    expect([await run(), await run('--stdio'), await run('serve', '--stdio')]).toEqual([3, 3, 3]);
    expect(seen).toHaveLength(3);
    expect(seen[0]).not.toHaveProperty('stdio');
  });

  test('options are taken before and after the name', async () => {
    const seen = watch('demo');
    expect(await run('--state-dir', '/s', 'demo', '--policy', 'scratch', '--cache-dir=/c')).toBe(0);
    expect(seen).toEqual([expect.objectContaining({ stateDir: '/s', cacheDir: '/c', policy: 'scratch' })]);
  });

  test('what is said after the name wins over what is said before it, and lists are joined', async () => {
    const seen = watch('serve');
    await run('--policy', 'a', '--allow-root', '/a', 'serve', '--policy', 'b', '--allow-root', '/b');
    expect(seen).toEqual([expect.objectContaining({ policy: 'b', allowRoot: ['/a', '/b'] })]);
  });

  test('what is repeatable may be repeated', async () => {
    const seen = watch('serve');
    await run('--allow-root', '/a', '--allow-root', 'b', '--dotted-names', '--clientProcessId', '77');
    expect(seen).toEqual([expect.objectContaining({ allowRoot: ['/a', '/w/b'], dottedNames: true, clientProcessId: 77 })]);
  });

  test('the log has the level that was asked for', async () => {
    watch('setup');
    await run('setup', '--log-level', 'debug');
    expect(log.level).toBe('debug');
  });
});

describe('a command with operands', () => {
  const linesOf = async (...argv: string[]): Promise<Line[]> => {
    const lines: Line[] = [];
    watch('run', async () => 0, lines);
    expect([await run(...argv), said.stderr]).toEqual([0, '']);
    return lines;
  };

  test('gets what follows -- as it is, options and all', async () => {
    const [line] = await linesOf('--policy', 'scratch', 'run', '--tty', '--env', 'A=1', '--env', 'B', '--', 'ls', '--tty', '--', '--policy', 'x', '');
    expect(line?.operands).toEqual(['ls', '--tty', '--', '--policy', 'x', '']);
    expect(line?.flags).toMatchObject({ tty: true, env: ['A=1', 'B'] });
  });

  test('takes no option of its own after the first operand, with or without --', async () => {
    const [line] = await linesOf('run', '--timeout', '5', 'sleep', '--timeout', '9', '--help', '--version');
    expect(line).toMatchObject({ operands: ['sleep', '--timeout', '9', '--help', '--version'], flags: { timeout: '5' } });
  });

  test('starts from defaults of its own, which what is set goes before', async () => {
    const seen = watch('run');
    await run('run', 'x');
    await run('run', '--log-level', 'debug', 'x');
    expect(seen.map(({ logLevel }) => logLevel)).toEqual(['warn', 'debug']);
  });

  test.each([
    [['run', '--no-such-option', 'x'], '--no-such-option'],
    [['run', '--dotted-names', 'x'], "'--dotted-names' means nothing to 'run'"],
    [['run', '--context'], '--context'],
    [['run', '--config', '/no/such/config.json', 'x'], '/no/such/config.json'],
  ])('fails with an exit code of its own: %j', async (argv, naming) => {
    expect([await run(...argv), said.stderr]).toEqual([125, expect.stringContaining(naming)]);
    expect(said.stdout).toBe('');
  });

  test('says in its help what its exit codes are', async () => {
    expect(await run('run', '--help')).toBe(0);
    for (const word of ['[options] -- COMMAND', '--tty', '--timeout <S>', '--env <K=V>', '--context', '124', '125', '126', '127'])
      expect(said.stdout).toContain(word);
    expect(said.stdout).not.toContain('--dotted-names');
  });
});

describe('help', () => {
  test('names every command, every option and its twin', async () => {
    expect(await run('--help')).toBe(0);
    for (const { name, summary } of commands) expect(said.stdout).toMatch(new RegExp(`^ {2}${name}\\b.*${summary.slice(0, 20)}`, 'm'));
    for (const { flag } of options) expect(said.stdout).toMatch(new RegExp(`^ {2}${flag}\\b`, 'm'));
    for (const word of ['--config <FILE>', '--stdio', '--version', 'CELLWALL_MAX_SANDBOXES', 'CELLWALL_RUNSC']) expect(said.stdout).toContain(word);
    expect(said.stderr).toBe('');
  });

  test('of a command is its own', async () => {
    await run('setup', '--help');
    expect(said.stdout).toContain('--cache-dir');
    expect(said.stdout).not.toContain('--dotted-names');
    expect(said.stdout).toContain('cellwall setup');
  });

  test('--version is one line: that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
    expect([await run('--version'), said.stdout]).toEqual([0, `${version}\n`]);
  });
});

describe('a mistake is named on stderr, with an exit code that is not 0 and an empty stdout', () => {
  test.each([
    [['--no-such-option'], '--no-such-option'],
    [['setup', '--no-such-option'], '--no-such-option'],
    [['no-such-command'], 'no-such-command'],
    [['no-such-command', '--policy', 'x'], 'no-such-command'],
    [['setup', 'more'], "'setup'"],
    [['--max-sandboxes', 'many'], '--max-sandboxes'],
    [['--max-sandboxes'], '--max-sandboxes'],
    [['--tool-results', 'loud'], '--tool-results'],
    [['--config', '/no/such/config.json'], '/no/such/config.json'],
    [['setup', '--dotted-names'], "'--dotted-names' means nothing to 'setup'"],
    [['--dotted-names', 'setup'], "'--dotted-names' means nothing to 'setup'"],
  ])('%j', async (argv, naming) => {
    for (const command of commands) watch(command.name);
    expect(await run(...argv)).toBe(1);
    expect(said.stderr).toContain(naming);
    expect(said.stderr).not.toMatch(/\n\s+at /);
    expect(said.stdout).toBe('');
  });

  test('what a command finds wrong, with its hint', async () => {
    watch('setup', async () => {
      throw new SandboxError('RUNTIME_UNAVAILABLE', 'there is no runsc', { hint: 'get one' });
    });
    expect([await run('setup'), said.stderr]).toEqual([1, 'cellwall: there is no runsc\nhint: get one\n']);
  });

  test('another system than Linux, at once', async () => {
    const seen = watch('serve');
    expect(await runCli([], { ...surroundings, platform: 'darwin' })).toBe(1);
    expect([said.stderr, said.stdout, seen]).toEqual([expect.stringContaining('Linux'), '', []]);
  });
});

test('an error that nobody foresaw goes to the log and is exit code 1', async () => {
  const lines: unknown[] = [];
  watch('serve', async () => {
    vi.spyOn(log, 'fatal').mockImplementation((line: unknown) => void lines.push(line)); // setting the level has made new methods
    throw new TypeError('broken');
  });
  expect([await run(), lines, said.stdout]).toEqual([1, [{ err: expect.any(TypeError) as TypeError }], '']);
});
