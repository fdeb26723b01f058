/** Pseudo-terminals: a master that the server holds and a slave that a program gets.   man 7 pty, man 2 ioctl_tty */
import { closeSync, openSync } from 'node:fs';
import { call } from './call.ts';
import { O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_RDWR, TCGETS, TIOCGPTPEER, TIOCSPTLCK, TIOCSWINSZ } from './constants.ts';
import type { Fd } from './files.ts';

export interface Terminal {
  /** non-blocking; its reader sees EIO once every slave is closed */
  readonly master: Fd;
  readonly slave: Fd;
}

export interface WindowSize {
  readonly rows: number;
  readonly cols: number;
}

/** A new pair. The slave is opened through its master, so no path of a devpts is trusted (Linux 4.13). */
export const createTerminal = (size: WindowSize): Terminal => {
  const master = openSync('/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  try {
    call('ioctl', master, TIOCSPTLCK, Buffer.alloc(4));
    resizeTerminal(master, size);
    return { master, slave: call('ioctl_int', master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) };
  } catch (error) {
    closeSync(master);
    throw error;
  }
};

/** Sets what `stty size` says. Nobody is signalled: the kernel that knows the programs is not this one. */
export const resizeTerminal = (master: Fd, { rows, cols }: WindowSize): void => {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(cols, 2);
  call('ioctl', master, TIOCSWINSZ, size);
};

const SIGNAL_CHARACTERS = { 0: 'SIGINT', 1: 'SIGQUIT', 10: 'SIGTSTP' } as const; // places of VINTR, VQUIT and VSUSP in c_cc
const C_LFLAG_OFFSET = 12;
const C_CC_OFFSET = 17;
const ISIG = 1;

/** Which typed bytes mean a signal now, as the terminal's settings have it; none while a program has turned that off.   man 3 termios, ISIG */
export const signalCharacters = (master: Fd): ReadonlyMap<number, 'SIGINT' | 'SIGQUIT' | 'SIGTSTP'> => {
  const settings = Buffer.alloc(64);
  call('ioctl', master, TCGETS, settings);
  if ((settings.readUInt32LE(C_LFLAG_OFFSET) & ISIG) === 0) return new Map();
  return new Map(Object.entries(SIGNAL_CHARACTERS).map(([place, signal]) => [settings[C_CC_OFFSET + Number(place)]!, signal]));
};
