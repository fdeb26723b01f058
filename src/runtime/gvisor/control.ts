/** What is asked of a sandbox over its control socket: start it, run a program in it, signal, wait. Each call blocks a connection, so each exec has its own. */
import type { Fd } from '../../syscall/files.ts';
import type { Exit, SignalTarget } from '../runtime.ts';
import { ConnectionLost, ControlConnection, ControlError } from './urpc.ts';

export interface Started {
  /** pid inside; null as long as it has none */
  pid(): number | null;
  readonly exit: Promise<Exit>;
}

/** Brings up `lo` and starts pid 1. Throws ControlError or ConnectionLost. */
export const startSandbox = async (socket: string, id: string): Promise<void> => {
  const connection = new ControlConnection(socket);
  try {
    await connection.call('containerManager.SetNetworkArgs', LOOPBACK);
    await connection.call('containerManager.StartRoot', id);
  } finally {
    connection.close();
  }
};

/** A program of ours to be run inside as uid 0. */
export interface Program {
  /** a read-only descriptor of its bytes */
  readonly image: Fd;
  readonly capabilities: readonly string[];
  /** what becomes its 0, 1, 2 and so on */
  readonly descriptors: readonly Fd[];
  /** whether the first three are a terminal, which becomes its controlling one */
  readonly isTerminal: boolean;
}

/** Runs a program inside. */
export const execute = async (socket: string, id: string, { image, capabilities, descriptors, isTerminal }: Program): Promise<Started> => {
  const connection = new ControlConnection(socket);
  try {
    const pid = Number(
      await connection.call('containerManager.ExecuteAsync', executionOf(id, capabilities, descriptors.length, isTerminal), [...descriptors, image]),
    );
    const exit = connection.call('containerManager.WaitPID', { PID: pid, CID: id }).then((status) => exitOf(Number(status)));
    exit.catch(() => undefined).finally(() => connection.close());
    return { pid: () => pid, exit };
  } catch (error) {
    connection.close();
    throw error;
  }
};

/** Sends a signal to the group that a process inside leads, or to its terminal's foreground group. A process that is gone is no error. */
export const signalInside = async (socket: string, id: string, pid: number, signal: number, target: SignalTarget): Promise<void> => {
  const connection = new ControlConnection(socket);
  try {
    await connection.call('containerManager.Signal', { CID: id, Signo: signal, PID: pid, Mode: MODES[target] });
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
  } finally {
    connection.close();
  }
};

/** How many processes live inside, pid 1 left out. */
export const countProcesses = async (socket: string, id: string): Promise<number> => {
  const connection = new ControlConnection(socket);
  try {
    const processes = await connection.call('containerManager.Processes', id);
    return Array.isArray(processes) ? processes.length - 1 : 0;
  } finally {
    connection.close();
  }
};

/** Resolves when the sandbox has ended, however. */
export const untilEnded = async (socket: string, id: string): Promise<void> => {
  const connection = new ControlConnection(socket);
  try {
    await connection.call('containerManager.Wait', id);
  } catch (error) {
    if (!(error instanceof ConnectionLost || error instanceof ControlError)) throw error;
  } finally {
    connection.close();
  }
};

const MODES: Readonly<Record<SignalTarget, number>> = { foreground: 2, group: 3 };

const LOOPBACK = {
  LoopbackLinks: [
    {
      Name: 'lo',
      Addresses: [
        { Address: '127.0.0.1', PrefixLen: 8 },
        { Address: '::1', PrefixLen: 128 },
      ],
      Routes: [
        { Destination: { IP: '127.0.0.0', Mask: Buffer.of(255, 0, 0, 0).toString('base64') }, Gateway: '' },
        { Destination: { IP: '::1', Mask: Buffer.alloc(16, 255).toString('base64') }, Gateway: '' },
      ],
    },
  ],
};

// One descriptor more than GuestFDs is the program itself. Capabilities are always named: gVisor reads a missing set as "all" for uid 0.
const executionOf = (id: string, capabilities: readonly string[], descriptors: number, isTerminal: boolean): object => ({
  filename: '',
  argv: ['cellwall'],
  envv: [],
  wd: '/',
  KUID: 0,
  KGID: 0,
  ExtraKGIDs: [],
  Capabilities: {
    PermittedCaps: maskOf(capabilities),
    EffectiveCaps: maskOf(capabilities),
    BoundingCaps: maskOf(capabilities),
    InheritableCaps: 0,
    AmbientCaps: 0,
  },
  NoNewPrivileges: true,
  StdioIsPty: isTerminal,
  ContainerID: id,
  GuestFDs: Array.from({ length: descriptors }, (_, fd) => fd),
});

const maskOf = (capabilities: readonly string[]): number => capabilities.reduce((mask, name) => mask | (1 << CAPABILITY_NUMBERS[name]!), 0);
const CAPABILITY_NUMBERS: Readonly<Record<string, number>> = { CAP_SETGID: 6, CAP_SETUID: 7, CAP_SETPCAP: 8 };

// man 2 waitpid: the low seven bits are the signal, the next byte the exit code.
const exitOf = (status: number): Exit => ((status & 0x7f) === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal: status & 0x7f });
