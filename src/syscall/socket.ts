/** Stream sockets of AF_UNIX, with descriptors as passengers.   man 7 unix */
import { closeSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { call } from './call.ts';
import { AF_UNIX, MSG_NOSIGNAL, O_CLOEXEC, O_DIRECTORY, O_PATH, SCM_RIGHTS, SO_PEERCRED, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET } from './constants.ts';
import { pathOf, withFd, type Fd } from './files.ts';
import { allocate } from './stub.ts';

/**
 * A connection to the socket at `path`, which may be longer than the 107 bytes that an address holds: it is named through its directory's descriptor.
 * Throws SyscallError, ECONNREFUSED where nobody listens.
 */
export const connectUnix = (path: string): Fd =>
  withFd(openSync(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC), (directory) => {
    const fd = call('socket', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    try {
      const address = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(`${pathOf(directory)}/${basename(path)}\0`)]);
      call('connect', fd, address, address.length);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  });

/** Who connected, by the uid that they had then, as seen from our user namespace.   man 7 unix, SO_PEERCRED */
export const peerUid = (socket: Fd): number => {
  const [credentials, size] = [Buffer.alloc(12), Buffer.alloc(4)];
  size.writeInt32LE(credentials.length);
  call('getsockopt', socket, SOL_SOCKET, SO_PEERCRED, credentials, size);
  return credentials.readInt32LE(4);
};

const MSGHDR_SIZE = 56;
const IOVEC_SIZE = 16;
const CMSGHDR_SIZE = 16;
const CONTROL_OFFSET = MSGHDR_SIZE + IOVEC_SIZE;
const PAYLOAD_OFFSET = 2048;

let memory: ReturnType<typeof allocate> | undefined;

/**
 * Sends one byte with descriptors riding on it.   man 2 sendmsg, man 3 cmsg
 * SAFETY: header, vector, control data and payload lie in memory of ours that outlives the call.
 */
export const sendDescriptors = (socket: Fd, byte: number, descriptors: readonly Fd[]): void => {
  memory ??= allocate(4096);
  const { address, bytes } = memory;
  const control = CMSGHDR_SIZE + 4 * descriptors.length;
  bytes.fill(0, 0, CONTROL_OFFSET + control + 8);
  bytes.writeBigUInt64LE(address + BigInt(MSGHDR_SIZE), 16);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeBigUInt64LE(address + BigInt(CONTROL_OFFSET), 32);
  bytes.writeBigUInt64LE(BigInt(control), 40);
  bytes.writeBigUInt64LE(address + BigInt(PAYLOAD_OFFSET), MSGHDR_SIZE);
  bytes.writeBigUInt64LE(1n, MSGHDR_SIZE + 8);
  bytes.writeBigUInt64LE(BigInt(control), CONTROL_OFFSET);
  bytes.writeInt32LE(SOL_SOCKET, CONTROL_OFFSET + 8);
  bytes.writeInt32LE(SCM_RIGHTS, CONTROL_OFFSET + 12);
  descriptors.forEach((fd, index) => bytes.writeInt32LE(fd, CONTROL_OFFSET + CMSGHDR_SIZE + 4 * index));
  bytes.writeUInt8(byte, PAYLOAD_OFFSET);
  call('sendmsg', socket, address, MSG_NOSIGNAL);
};
