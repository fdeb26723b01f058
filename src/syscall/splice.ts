/** Moving bytes inside the kernel, without a copy in this process. */
import { call, EAGAIN, EINTR, SyscallError } from './call.ts';
import { SPLICE_F_NONBLOCK } from './constants.ts';
import type { Fd } from './files.ts';
import { libc } from './libc.ts';

/** Moves what a pipe holds, at most `length`, to `offset` of a file. The number of bytes; 0 at the pipe's end; null when it is empty now.   man 2 splice */
export const moveFromPipe = (pipe: Fd, file: Fd, offset: number, length: number): number | null => {
  const place = offsetOf(offset);
  for (;;) {
    const [moved, errno] = libc().call('splice', [pipe, null, file, place, length, SPLICE_F_NONBLOCK]);
    if (moved >= 0) return Number(moved);
    if (errno === EAGAIN) return null;
    if (errno !== EINTR) throw new SyscallError('splice', errno);
  }
};

/** Copies exactly `length` bytes between two files, fewer only where the source ends.   man 2 copy_file_range */
export const copyRange = (from: Fd, fromOffset: number, to: Fd, toOffset: number, length: number): void => {
  const [source, target] = [offsetOf(fromOffset), offsetOf(toOffset)];
  for (let left = length; left > 0;) {
    const copied = call('copy_file_range', from, source, to, target, left, 0);
    if (copied === 0) return;
    left -= copied;
  }
};

const offsetOf = (offset: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(offset));
  return bytes;
};
