/**
 * Many system calls in one go: the launch code walks them as it walks what comes before a launch. No child is made, because each
 * list ends in a call that fails. What a call costs is then what the kernel takes for it: a fifth of what it costs one by one.
 */
import koffi from 'koffi';
import { SyscallError } from './call.ts';
import { numberOf, type Arch } from './numbers.ts';
import { launchCode } from './stub.ts';

/** Calls that no table of a launch has.   man 2 syscalls */
const MORE = {
  x64: { fchmod: 91, fchown: 93, mknodat: 259, fchownat: 260, symlinkat: 266, utimensat: 280, statx: 332 },
  arm64: { mknodat: 33, symlinkat: 36, fchmod: 52, fchownat: 54, fchown: 55, utimensat: 88, statx: 291 },
} as const satisfies Record<Arch, Record<string, number>>;
const SHARED = ['read', 'write', 'close', 'openat', 'openat2', 'mkdirat', 'unlinkat', 'fchmodat'] as const;

export type BatchedCall = keyof (typeof MORE)[Arch] | (typeof SHARED)[number];

const NUMBERS = { ...MORE[process.arch as Arch], ...Object.fromEntries(SHARED.map((name) => [name, numberOf(name)])) } as Record<BatchedCall, number>;

/** Offsets in the block and in an entry, as stub-x64.S has them. */
const BLOCK_BYTES = 96;
const LIST_AT = 24;
const LENGTH_AT = 32;
const AFTER_LENGTH_AT = 48;
const ENTRY_BYTES = 80;
const FLAGS_AT = 56;
const RESULT_AT = 64;
const FORWARD_AT = 72;
/** A failure does not end the walk, and what a signal interrupted is made again. */
const GO_ON = 1 | 2;
const EBADF = 9;
const PAGE = 4096;
const WORD = 2 ** 32;

export class Batch {
  /** the memory behind all calls: offsets that `space` and `text` give, and words of 32 bits at a quarter of them */
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly #most: number;
  readonly #address: number;
  readonly #start: number;
  #used: number;
  #calls = 0;

  /** `calls`: most of one run. `bytes`: room for what they read and write. */
  constructor(calls: number, bytes: number) {
    this.#most = calls;
    this.#start = BLOCK_BYTES + ENTRY_BYTES * (calls + 1);
    this.#used = this.#start;
    // Large enough to lie outside of V8's heap: it does not move, and goes with the last reference to it.
    this.bytes = Buffer.allocUnsafeSlow(this.#start + Math.max(bytes, PAGE));
    this.words = new Uint32Array(this.bytes.buffer, 0, this.bytes.length >> 2);
    this.#address = Number(koffi.address(this.bytes));
    this.bytes.fill(0, 0, this.#start);
  }

  /** Offset of `size` bytes for arguments, aligned to 8; good until `clear`. Their content is undefined. */
  space(size: number): number {
    const offset = this.#used;
    this.#used = (offset + size + 7) & ~7;
    if (this.#used > this.bytes.length) throw new RangeError(`a batch of ${this.bytes.length} bytes has no room for ${size} more`);
    return offset;
  }

  /** Offset of a text, one character a byte, with a NUL behind it. Throws a TypeError for one that holds a NUL, where the kernel would cut it. */
  text(text: string): number {
    if (text.includes('\0')) throw new TypeError('a text for the kernel holds a NUL byte, where it would be cut');
    const offset = this.space(text.length + 1);
    this.bytes.write(text, offset, 'latin1');
    this.bytes[offset + text.length] = 0;
    return offset;
  }

  /** What an offset is as an argument. */
  at(offset: number): number {
    return this.#address + offset;
  }

  /** Adds a call with up to five arguments; integers, and addresses by `at`. Returns its place in the run. */
  add(name: BatchedCall, a = 0, b = 0, c = 0, d = 0, e = 0): number {
    if (this.#calls === this.#most) throw new RangeError(`a batch takes ${this.#most} calls`);
    const entry = BLOCK_BYTES + ENTRY_BYTES * this.#calls;
    this.#set(entry, NUMBERS[name]);
    this.#set(entry + 8, a);
    this.#set(entry + 16, b);
    this.#set(entry + 24, c);
    this.#set(entry + 32, d);
    this.#set(entry + 40, e);
    this.#set(entry + FLAGS_AT, GO_ON);
    this.#set(entry + FORWARD_AT, 0);
    return this.#calls++;
  }

  /** Adds a call whose first argument is what the call before it returns: a descriptor, or where that failed a number that is none. */
  addOnResult(name: BatchedCall, b = 0, c = 0, d = 0, e = 0): number {
    const call = this.add(name, -1, b, c, d, e);
    this.#set(BLOCK_BYTES + ENTRY_BYTES * (call - 1) + FORWARD_AT, this.at(BLOCK_BYTES + ENTRY_BYTES * call + 8));
    return call;
  }

  /**
   * Makes all calls that were added, in their order, whichever of them fail. The next call that is added begins a new run.
   * SAFETY: the code reads and writes the block and what its entries name: memory of this Batch, which its caller holds, by offsets that it gave out.
   * It never comes to clone3, as the last entry fails and may not.
   */
  run(): void {
    this.#finish();
    conclude(launchCode()(BigInt(this.#address)));
  }

  /** The same on a thread of libuv's pool, for calls that block. Nothing else may be done with this batch meanwhile. */
  async runAside(): Promise<void> {
    this.#finish();
    conclude(
      await new Promise<number>((resolve, reject) => launchCode().async(BigInt(this.#address), (error, result) => (error ? reject(error) : resolve(result)))),
    );
  }

  // Ends the list.
  #finish(): void {
    const end = BLOCK_BYTES + ENTRY_BYTES * this.#calls;
    this.#set(end, NUMBERS.close);
    this.#set(end + 8, -1);
    this.#set(end + FLAGS_AT, 0);
    this.#set(end + FORWARD_AT, 0);
    this.#set(LIST_AT, this.at(BLOCK_BYTES));
    this.#set(LENGTH_AT, this.#calls + 1);
    this.#set(AFTER_LENGTH_AT, 0);
    this.#calls = 0;
  }

  /** What a call of the last run returned; a negative errno where it failed. */
  result(call: number): number {
    return this.words[(BLOCK_BYTES + ENTRY_BYTES * call + RESULT_AT) >> 2]! | 0;
  }

  /** The same; throws SyscallError where it failed. */
  value(call: number, name: BatchedCall): number {
    const result = this.result(call);
    if (result < 0) throw new SyscallError(name, -result);
    return result;
  }

  /** Gives all space back. */
  clear(): void {
    this.#used = this.#start;
  }

  // Two's complement in two words; an address is an exact number up to 2⁵³.
  #set(offset: number, value: number): void {
    this.words[offset >> 2] = value;
    this.words[(offset >> 2) + 1] = Math.floor(value / WORD);
  }
}

const conclude = (result: number): void => {
  if (result !== -EBADF) throw new Error(`a list of system calls ended in ${result}, not where it had to`);
};
