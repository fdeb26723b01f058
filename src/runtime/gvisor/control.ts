/**
 * What is asked of a sandbox over its control socket: start it, run a program in it, signal, wait. Each call blocks a connection, so calls that go on
 * at the same time have connections of their own; one that is free again is used again.
 */
import type { Fd } from '../../syscall/files.ts';
import type { Exit, SignalTarget } from '../runtime.ts';
import { ConnectionLost, ControlConnection, ControlError } from './urpc.ts';

export interface Started {
  /** pid inside; null as long as it has none */
  pid(): number | null;
  readonly exit: Promise<Exit>;
}

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

/** How many connections wait for their next call. */
const MOST_IDLE = 4;

export class Control {
  readonly #socket: string;
  readonly #id: string;
  readonly #idle: ControlConnection[] = [];
  #isClosed = false;

  /** `socket` is the path of the control socket of the sandbox `id`. */
  constructor(socket: string, id: string) {
    this.#socket = socket;
    this.#id = id;
  }

  /** Brings up `lo` and starts pid 1. Throws ControlError or ConnectionLost. */
  async start(): Promise<void> {
    await this.#call('containerManager.SetNetworkArgs', LOOPBACK);
    await this.#call('containerManager.StartRoot', this.#id);
  }

  /** Runs a program inside. Throws ControlError, ConnectionLost, or SyscallError where nobody listens. */
  async execute({ image, capabilities, descriptors, isTerminal }: Program): Promise<Started> {
    const connection = this.#lease();
    try {
      const execution = executionOf(this.#id, capabilities, descriptors.length, isTerminal);
      const pid = Number(await connection.call('containerManager.ExecuteAsync', execution, [...descriptors, image]));
      const exit = connection.call('containerManager.WaitPID', { PID: pid, CID: this.#id }).then((status) => exitOf(Number(status)));
      void exit.catch(() => undefined).finally(() => this.#giveBack(connection));
      return { pid: () => pid, exit };
    } catch (error) {
      this.#giveBack(connection);
      throw error;
    }
  }

  /** Sends a signal to the group that a process inside leads, or to its terminal's foreground group. A process that is gone is no error. */
  async signal(pid: number, signal: number, target: SignalTarget): Promise<void> {
    try {
      await this.#call('containerManager.Signal', { CID: this.#id, Signo: signal, PID: pid, Mode: MODES[target] });
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
    }
  }

  /** How many processes live inside, pid 1 left out. */
  async countProcesses(): Promise<number> {
    const processes = await this.#call('containerManager.Processes', this.#id);
    return Array.isArray(processes) ? processes.length - 1 : 0;
  }

  /** Resolves when the sandbox has ended, however. */
  async untilEnded(): Promise<void> {
    try {
      await this.#call('containerManager.Wait', this.#id);
    } catch (error) {
      if (!(error instanceof ConnectionLost || error instanceof ControlError)) throw error;
    }
  }

  /** Gives up the connections that wait. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #call(method: string, argument: unknown): Promise<unknown> {
    const connection = this.#lease();
    try {
      return await connection.call(method, argument);
    } finally {
      this.#giveBack(connection);
    }
  }

  #lease(): ControlConnection {
    for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) if (connection.isOpen) return connection;
    return new ControlConnection(this.#socket);
  }

  #giveBack(connection: ControlConnection): void {
    if (connection.isOpen && !this.#isClosed && this.#idle.length < MOST_IDLE) this.#idle.push(connection);
    else connection.close();
  }
}

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
  envv: ['HOME=/'], // without one gVisor looks the user up in /etc/passwd
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
