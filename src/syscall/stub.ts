/**
 * The launch code: machine code that walks a table of system calls, as bytes. Its sources are stub-x64.S and stub-arm64.S;
 * a test assembles them and compares. `table.ts` lays out what it walks.
 */
import koffi from 'koffi';
import { errnoName, SyscallError } from './call.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE } from './constants.ts';
import { libc } from './libc.ts';
import type { Arch } from './numbers.ts';

interface Stub {
  readonly code: Buffer;
  /** offset of the entry for a program of its own */
  readonly programEntry: number;
}

export const STUBS: Readonly<Record<Arch, Stub>> = {
  x64: {
    programEntry: 0x49,
    code: Buffer.from(
      '53415441554889fb4c8b63184c8b6b20e86d0000004885c07814488b3bbe58000000b8b30100000f054885c07420488943484c8b63284c8b6b30e84300000048' +
        '8b4348415d415c5bc3bb000060004c8b63084c8b6b10e82700000031ff4885c07919488b7b50488d7338ba10000000b8010000000f05bf7f000000b8e7000000' +
        '0f0531c04d85ed7470498b0424498b7c2408498b742410498b5424184d8b5424204d8b4424284d8b4c24300f054883f8fc750841f64424380275ce4989442440' +
        '498b4c24484885c974034889014885c0780b41f644243804741431c0c341f64424380175094c89633848894340c34983c45049ffcd759231c0c3',
      'hex',
    ),
  },
  arm64: {
    programEntry: 0x58,
    code: Buffer.from(
      'fd7bbda9f35301a9f51300f9f30300aa740e40f9751240f91f000094c000f8b7600240f9010b80d2683680d2010000d4600100b4602600f9741640f9751a40f9' +
        '15000094602640f9f51340f9f35341a9fd7bc3a8c0035fd6130ca0d2740640f9750a40f90c0000940001f8b6602a40f961e20091020280d2080880d2010000d4' +
        'e00f80d202000014000080d2c80b80d2010000d4000080d2550300b4880240f9808640a9828e41a9849642a9010000d4891e40f91f1000b14100005409ff0f37' +
        '802200f98a2640f94a0000b4400100f98000f8b7e9001036000080d2c0035fd689000037741e00f9602200f9c0035fd694420191b50600f121fdff54000080d2' +
        'c0035fd6',
      'hex',
    ),
  },
};

/** Where a program's block lies, as the code's `program` entry has it. */
export const PROGRAM_BLOCK = 0x600000n;

const PAGE = 4096;

/** Anonymous memory at an address that does not move, unlike a Buffer of the JavaScript heap.   man 2 mmap */
export const allocate = (size: number): { address: bigint; bytes: Buffer } => {
  const [address, errno] = libc().call('mmap', [null, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0]);
  if (BigInt.asIntN(64, BigInt(address)) === -1n) throw new SyscallError('mmap', errno, [size]);
  return { address: BigInt(address), bytes: Buffer.from(koffi.view(address, size)) };
};

/** Walks the block at an address: in this thread, or on one of the pool. */
export type Launch = ((block: bigint) => number) & { async(block: bigint, done: (error: Error | null, result: number) => void): void };

/**
 * The code as a function: filled while writable, then made executable and read-only.   man 2 mprotect
 * SAFETY: the page is never unmapped; the code touches only the block it is given and what the block's tables name.
 */
const load = (): Launch => {
  const page = allocate(PAGE);
  STUBS[process.arch as Arch].code.copy(page.bytes);
  const [result, errno] = libc().call('mprotect', [page.address, PAGE, PROT_READ | PROT_EXEC]);
  if (result < 0) throw new SyscallError('mprotect', errno);
  return koffi.decode(page.address, koffi.proto('int64_t (void *block)')) as Launch;
};

let loaded: Launch | undefined;

/** The code as a function; the same one for all. */
export const launchCode = (): Launch => (loaded ??= load());

/** Runs the block at `address` on a thread of the pool: the pid of the child, which has called execve by then or is gone. */
export const runBlock = (address: bigint): Promise<number> =>
  new Promise((resolve, reject) => {
    launchCode().async(address, (error, result) => {
      if (error) reject(error);
      else if (result < 0) reject(new Error(`clone3: ${errnoName(-result)}`));
      else resolve(result);
    });
  });
