import { closeSync, openSync, readFileSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call } from '../../src/syscall/call.ts';
import { programOf, sealedProgram } from '../../src/syscall/elf.ts';
import { launchCommand, type Command } from '../../src/syscall/launch.ts';
import { createPipe, type Pipe } from '../../src/syscall/pipe.ts';
import { reap, waitForEnd, type Child } from '../../src/syscall/process.ts';

const F_SETFD = 2;
const SIGPIPE_BIT = 1n << 12n;

let nothing: number;
beforeEach(() => {
  nothing = openSync('/dev/null', 'r+');
});
afterEach(() => closeSync(nothing));

const command = (path: string, argv: readonly string[], rest: Partial<Command> = {}): Command => ({
  path,
  argv,
  env: [],
  stdio: [nothing, nothing, nothing],
  ...rest,
});
const shell = (line: string, rest: Partial<Command> = {}): Command => command('/bin/sh', ['sh', '-c', line], rest);

/** What a program wrote to its stdout, and how it ended. */
const outputOf = async (launch: (stdout: number) => Command): Promise<{ text: string; code: number | null }> => {
  const pipe = createPipe();
  const child = await launchCommand(launch(pipe.write)).finally(() => closeSync(pipe.write));
  expect(await waitForEnd(child, 30_000)).toBe(true);
  return { text: drain(pipe), code: reap(child)?.code ?? null };
};

const drain = ({ read }: Pipe): string => {
  const bytes = Buffer.alloc(65_536);
  const length = readSync(read, bytes);
  closeSync(read);
  return bytes.toString('utf8', 0, length);
};

/** A program that opens nothing and waits on its stdin. */
const waiter = sealedProgram('waiter', programOf([{ call: 'read', args: [0, Buffer.alloc(1), 1] }]));
afterAll(() => closeSync(waiter));

/** Runs `look` at a program that waits, then ends it. */
const whileRunning = async (stdio: (stdin: number) => Command['stdio'], look: (pid: number) => void, rest: Partial<Command> = {}): Promise<void> => {
  const stdin = createPipe();
  const child = await launchCommand(command(`/proc/${process.pid}/fd/${waiter}`, ['waiter'], { stdio: stdio(stdin.read), ...rest }));
  try {
    look(child.pid);
  } finally {
    reap(child);
    closeSync(stdin.read);
    closeSync(stdin.write);
  }
};

const fieldOf = (status: string, name: string): string => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1] ?? '';
const descriptors = (): readonly string[] => readdirSync('/proc/self/fd');
const children = (): readonly string[] =>
  readdirSync('/proc/self/task').flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean));
/** How many threads of this process block SIGTERM: Node has one that blocks everything. */
const deafThreads = (): number =>
  readdirSync('/proc/self/task').filter((thread) => BigInt(`0x${fieldOf(readFileSync(`/proc/self/task/${thread}/status`, 'utf8'), 'SigBlk')}`) & (1n << 14n))
    .length;
const deafAtStart = deafThreads();

describe('a launched program', () => {
  it('has exactly the descriptors it was given, even where others would be inherited', async () => {
    const inheritable = openSync('/etc/passwd', 'r');
    call('fcntl', inheritable, F_SETFD, 0);
    await whileRunning(
      (stdin) => [stdin, nothing, nothing, inheritable],
      (pid) => {
        const held = readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/, 'N')]);
        expect(held).toEqual([
          ['0', 'pipe:[N]'],
          ['1', '/dev/null'],
          ['2', '/dev/null'],
          ['3', '/etc/passwd'],
        ]);
      },
    );
    closeSync(inheritable);
  });

  it('has exactly the arguments and the environment it was given', async () => {
    await whileRunning(
      (stdin) => [stdin, nothing, nothing],
      (pid) => {
        expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toBe('A=1\0B=é x\0');
        expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('a name\0-\0');
      },
      { argv: ['a name', '-'], env: ['A=1', 'B=é x'] },
    );
  });

  it('leads a session of its own', async () => {
    await whileRunning(
      (stdin) => [stdin, nothing, nothing],
      (pid) => {
        const [, , group, session, terminal] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
        expect([group, session, terminal]).toEqual([String(pid), String(pid), '0']);
      },
    );
  });

  it('blocks no signal and ignores none that Node ignores', async () => {
    const statusOf = (pid: number | 'self'): string => readFileSync(`/proc/${pid}/status`, 'utf8');
    const ignored = (pid: number | 'self'): bigint => BigInt(`0x${fieldOf(statusOf(pid), 'SigIgn')}`);
    expect(ignored('self') & SIGPIPE_BIT).toBe(SIGPIPE_BIT);
    await whileRunning(
      (stdin) => [stdin, nothing, nothing],
      (pid) => expect([ignored(pid), fieldOf(statusOf(pid), 'SigBlk')]).toEqual([ignored('self') & ~SIGPIPE_BIT, '0'.repeat(16)]),
    );
  });

  it('is killed by SIGPIPE when nobody reads what it writes', async () => {
    const pipe = createPipe();
    closeSync(pipe.read);
    const child = await launchCommand(shell('while :; do echo x; done', { stdio: [nothing, pipe.write, nothing] }));
    closeSync(pipe.write);
    expect(await waitForEnd(child, 30_000)).toBe(true);
    expect(reap(child)).toEqual({ code: null, signal: 13 });
  });

  it('comes after its steps, which are made in the child', async () => {
    const { text } = await outputOf((stdout) =>
      command('/bin/pwd', ['pwd'], { stdio: [nothing, stdout, nothing], steps: [{ call: 'chdir', args: ['/usr'] }] }),
    );
    expect([text, process.cwd() === '/usr']).toEqual(['/usr\n', false]);
  });
});

describe('a launch that fails', () => {
  it('names execve and why', async () => {
    await expect(launchCommand(command('/there/is/nothing', ['x']))).rejects.toMatchObject({
      name: 'SyscallError',
      syscall: 'execve',
      code: 'ENOENT',
      args: ['/there/is/nothing'],
    });
    await expect(launchCommand(command('/etc', ['x']))).rejects.toMatchObject({ syscall: 'execve', code: 'EACCES' });
  });

  it('names the step that failed, and the program does not run', async () => {
    const pipe = createPipe();
    const steps: Command['steps'] = [{ call: 'chdir', args: ['/there/is/nothing'] }];
    await expect(launchCommand(shell('echo ran', { stdio: [nothing, pipe.write, nothing], steps }))).rejects.toMatchObject({
      syscall: 'chdir',
      code: 'ENOENT',
    });
    closeSync(pipe.write);
    expect(drain(pipe)).toBe('');
  });

  it('names the descriptor that does not exist', async () => {
    await expect(launchCommand(shell('true', { stdio: [nothing, 1_000_000, nothing] }))).rejects.toMatchObject({
      syscall: 'dup3',
      code: 'EBADF',
      args: [1_000_000],
    });
  });

  it('is refused before it starts when it is larger than the memory for it, and the next one works', async () => {
    await expect(launchCommand(shell(`true ${'x'.repeat(300_000)}`))).rejects.toThrow(RangeError);
    expect(await outputOf((stdout) => shell('echo next', { stdio: [nothing, stdout, nothing] }))).toEqual({ text: 'next\n', code: 0 });
  });
});

describe('many launches', () => {
  it('leave no descriptor, no process and no thread that hears no signals behind, whether they succeed or fail', async () => {
    await launchCommand(shell('true')).then(reap); // loads what is loaded once
    const before = { descriptors: descriptors(), children: children() };
    for (let turn = 0; turn < 100; turn++) {
      const child = await launchCommand(shell('exit 3'));
      expect(await waitForEnd(child, 30_000)).toBe(true);
      expect(reap(child)).toEqual({ code: 3, signal: null });
      await expect(launchCommand(command('/there/is/nothing', ['x']))).rejects.toThrow('execve: ENOENT');
    }
    expect({ descriptors: descriptors(), children: children() }).toEqual(before);
    expect(deafThreads()).toBe(deafAtStart);
  });

  it('at one time are twenty programs, each with its own arguments and output', async () => {
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    const outputs = await Promise.all(
      numbers.map((number) =>
        outputOf((stdout) =>
          shell('echo "$1 $N"', { argv: ['sh', '-c', 'echo "$1 $N"', 'sh', `a${number}`], env: [`N=${number}`], stdio: [nothing, stdout, nothing] }),
        ),
      ),
    );
    expect(outputs).toEqual(numbers.map((number) => ({ text: `a${number} ${number}\n`, code: 0 })));
  });

  it('at one time that fail do not disturb those that succeed', async () => {
    const launches = Array.from({ length: 20 }, (_, index) => launchCommand(index % 2 === 0 ? shell('exit 4') : command(`/nothing/${index}`, ['x'])));
    const outcomes = await Promise.allSettled(launches);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') expect([index % 2, await endOf(outcome.value)]).toEqual([0, 4]);
      else expect(outcome.reason).toMatchObject({ syscall: 'execve', args: [`/nothing/${index}`] });
    }
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(10);
  });
});

const endOf = async (child: Child): Promise<number | null> => {
  expect(await waitForEnd(child, 30_000)).toBe(true);
  return reap(child)?.code ?? null;
};
