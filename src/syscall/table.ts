/** Tables of system calls as the launch code walks them (stub-x64.S has the layout). Pure: steps in, bytes out. */
import { CLONE_CLEAR_SIGHAND, CLONE_PIDFD, CLONE_VFORK, CLONE_VM, SIGCHLD } from './constants.ts';
import { numberOf, type Arch, type SyscallName } from './numbers.ts';
import { cString } from './text.ts';

/** One argument: an integer, the address of a string, an array of strings or bytes, or what an earlier step returned. */
type Argument = number | bigint | string | readonly string[] | Buffer | { readonly resultOf: Step };

export interface Step {
  readonly call: SyscallName;
  readonly args: readonly Argument[];
  /** whether the walk goes on when this step fails */
  readonly mayFail?: boolean;
  /** whether the step is made again when a signal interrupted it */
  readonly restart?: boolean;
  /** whether the walk ends well as soon as this step succeeds */
  readonly last?: boolean;
}

export interface Tables {
  /** what the child does; ends in execve or exit_group */
  readonly child: readonly Step[];
  /** what the launching thread does before and after, also after a failure */
  readonly before?: readonly Step[];
  readonly after?: readonly Step[];
  /** namespaces that the child gets of its own, CLONE_NEW*   man 2 clone3 */
  readonly namespaces?: bigint;
  /** descriptor of the child's that a failure is written to: address of the entry and its negative errno, 8 bytes each */
  readonly report?: number;
}

export interface Encoded {
  readonly bytes: Buffer;
  /** offset of the place that receives the child's pidfd */
  readonly pidfdOffset: number;
  /** offsets of the two places that tell which entry failed and with what */
  readonly failedOffset: number;
  /** the step whose entry lies at an absolute address */
  stepAt(address: bigint): Step | undefined;
}

const BLOCK_SIZE = 88;
const ENTRY_SIZE = 80;
const CLONE_ARGS_SIZE = 88;

/** Lays tables out as they will lie at `base`. Throws a RangeError for a result that is wanted before it exists or twice, a TypeError for a text with a NUL. */
export const encodeTables = (tables: Tables, base: bigint, arch: Arch = process.arch as Arch): Encoded => {
  const writer = new Writer(base);
  writer.reserve(BLOCK_SIZE);
  const pidfdOffset = writer.reserve(8);
  const cloneArgs = writer.reserve(CLONE_ARGS_SIZE);
  writer.u64(cloneArgs, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (tables.namespaces ?? 0n));
  writer.u64(cloneArgs + 8, writer.address(pidfdOffset));
  writer.u64(cloneArgs + 32, SIGCHLD);
  writer.u64(0, writer.address(cloneArgs));
  writer.u64(80, tables.report ?? -1);
  const steps = new Map<bigint, Step>();
  for (const [offset, list] of [
    [8, tables.child],
    [24, tables.before ?? []],
    [40, tables.after ?? []],
  ] as const) {
    writer.u64(offset, writer.address(writeEntries(writer, list, steps, arch)));
    writer.u64(offset + 8, list.length);
  }
  return { bytes: writer.bytes(), pidfdOffset, failedOffset: 56, stepAt: (address) => steps.get(address) };
};

// Each entry, its arguments' memory behind the list; a wanted result becomes the forwarding address of the entry that makes it.
const writeEntries = (writer: Writer, list: readonly Step[], steps: Map<bigint, Step>, arch: Arch): number => {
  const start = writer.reserve(ENTRY_SIZE * list.length);
  const offsets = new Map<Step, number>();
  for (const [index, step] of list.entries()) {
    const entry = start + index * ENTRY_SIZE;
    if (step.args.length > 6) throw new RangeError(`${step.call} has ${step.args.length} arguments: a system call takes at most six`);
    writer.u64(entry, numberOf(step.call, arch));
    for (const [position, argument] of step.args.entries()) {
      const place = entry + 8 + 8 * position;
      if (typeof argument === 'object' && 'resultOf' in argument) writer.forward(offsets.get(argument.resultOf), place);
      else writer.u64(place, writer.value(argument));
    }
    writer.u64(entry + 56, (step.mayFail ? 1 : 0) | (step.restart ? 2 : 0) | (step.last ? 4 : 0));
    offsets.set(step, entry);
    steps.set(writer.address(entry), step);
  }
  return start;
};

/** Memory that grows, at a base address that is known. */
class Writer {
  readonly #base: bigint;
  readonly #stored = new Map<Buffer, bigint>();
  #buffer = Buffer.alloc(4096);
  #used = 0;

  constructor(base: bigint) {
    this.#base = base;
  }

  address(offset: number): bigint {
    return this.#base + BigInt(offset);
  }

  /** The offset of `size` zeroed bytes, aligned to 8. */
  reserve(size: number): number {
    const offset = (this.#used + 7) & ~7;
    this.#used = offset + size;
    while (this.#used > this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(this.#buffer.length)]);
    return offset;
  }

  u64(offset: number, value: number | bigint): void {
    this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), offset);
  }

  /** An argument as the register will hold it. */
  value(argument: number | bigint | string | readonly string[] | Buffer): number | bigint {
    if (typeof argument === 'number' || typeof argument === 'bigint') return argument;
    if (typeof argument === 'string') return this.#store(cString(argument));
    if (Buffer.isBuffer(argument)) return this.#shared(argument);
    const pointers = argument.map((text) => this.#store(cString(text)));
    const array = this.reserve(8 * (pointers.length + 1));
    pointers.forEach((pointer, index) => this.u64(array + 8 * index, pointer));
    return this.address(array);
  }

  /** Makes the entry at `from` put its result also at `to`. */
  forward(from: number | undefined, to: number): void {
    if (from === undefined) throw new RangeError('a step wants a result that no earlier step of its list makes');
    if (this.#buffer.readBigUInt64LE(from + 72) !== 0n) throw new RangeError('the result of a step is wanted twice: dup it');
    this.u64(from + 72, this.address(to));
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  // The same Buffer in two steps is the same memory for both: what one writes the other reads.
  #shared(bytes: Buffer): bigint {
    const address = this.#stored.get(bytes) ?? this.#store(bytes);
    this.#stored.set(bytes, address);
    return address;
  }

  #store(bytes: Buffer): bigint {
    const offset = this.reserve(bytes.length);
    bytes.copy(this.#buffer, offset);
    return this.address(offset);
  }
}
