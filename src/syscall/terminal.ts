/** Pseudo-terminals: a master that the server holds and a slave that a program gets.   man 7 pty, man 2 ioctl_tty */
import { closeSync, openSync } from 'node:fs';
import { call, hasCode } from './call.ts';
import {
  BRKINT,
  ECHO,
  ECHONL,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNBRK,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IXON,
  NOFLSH,
  OPOST,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  PARMRK,
  TCGETS,
  TCSETS,
  TIOCGPTPEER,
  TIOCSPTLCK,
  TIOCSWINSZ,
  VMIN,
  VTIME,
} from './constants.ts';
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
    keepOutput(master);
    return { master, slave: call('ioctl_int', master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) };
  } catch (error) {
    closeSync(master);
    throw error;
  }
};

// The kernel looks at a typed Ctrl-C on a thread of its own and then drops all output that was not read yet: by then the program may have answered to the
// signal, which comes to it by another way. NOFLSH keeps that answer.   man 3 termios
const keepOutput = (terminal: Fd): void => {
  const settings = settingsOf(terminal);
  settings.writeUInt32LE(settings.readUInt32LE(C_LFLAG) | NOFLSH, C_LFLAG);
  call('ioctl', terminal, TCSETS, settings);
};

/** Sets what `stty size` says. Nobody is signalled: the kernel that knows the programs is not this one. */
export const resizeTerminal = (master: Fd, { rows, cols }: WindowSize): void => {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(cols, 2);
  call('ioctl', master, TIOCSWINSZ, size);
};

/**
 * Lets every typed byte through as it is, unseen by this terminal, and every printed one too. Returns what brings it back to how it was.
 * man 3 termios, cfmakeraw
 */
export const makeRaw = (terminal: Fd): (() => void) => {
  const before = settingsOf(terminal);
  const raw = Buffer.from(before);
  for (const [field, flags] of COOKED) raw.writeUInt32LE((raw.readUInt32LE(field) & ~flags) >>> 0, field);
  raw[C_CC + VMIN] = 1;
  raw[C_CC + VTIME] = 0;
  call('ioctl', terminal, TCSETS, raw);
  return () => restore(terminal, before);
};

// One that was hung up meanwhile (EIO) is nobody's any more.
const restore = (terminal: Fd, settings: Buffer): void => {
  try {
    call('ioctl', terminal, TCSETS, settings);
  } catch (error) {
    if (!hasCode(error, 'EIO')) throw error;
  }
};

/** Which typed bytes mean a signal now, as the terminal's settings have it; none while a program has turned that off.   man 3 termios, ISIG */
export const signalCharacters = (master: Fd): ReadonlyMap<number, 'SIGINT' | 'SIGQUIT' | 'SIGTSTP'> => {
  const settings = settingsOf(master);
  if ((settings.readUInt32LE(C_LFLAG) & ISIG) === 0) return new Map();
  return new Map(SIGNAL_CHARACTERS.map(([place, signal]) => [settings[C_CC + place]!, signal]));
};

// The kernel's own struct termios: four fields of 32 bits, the line discipline, and the special characters.   asm-generic/termbits.h
const settingsOf = (terminal: Fd): Buffer => {
  const settings = Buffer.alloc(SETTINGS_SIZE);
  call('ioctl', terminal, TCGETS, settings);
  return settings;
};

/** more than the 36 bytes that the kernel writes */
const SETTINGS_SIZE = 64;
const [C_IFLAG, C_OFLAG, C_LFLAG, C_CC] = [0, 4, 12, 17];
/** What makes a terminal more than a line of bytes, by field. */
const COOKED: readonly (readonly [field: number, flags: number])[] = [
  [C_IFLAG, IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON],
  [C_OFLAG, OPOST],
  [C_LFLAG, ECHO | ECHONL | ICANON | ISIG | IEXTEN],
];
/** Places of VINTR, VQUIT and VSUSP among the special characters. */
const SIGNAL_CHARACTERS = [
  [0, 'SIGINT'],
  [1, 'SIGQUIT'],
  [10, 'SIGTSTP'],
] as const;
