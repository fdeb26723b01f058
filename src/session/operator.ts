/** The person who runs the server, at its control socket: all of its sandboxes are theirs. */
import { peerUid } from '../syscall/socket.ts';
import type { Principal } from './requests.ts';

/** No connection of a client has this name. */
export const OPERATOR: Principal = 'operator';

/** Whether who connected to a socket is the user of this process. */
export const isOperator = (socket: number): boolean => peerUid(socket) === process.getuid!();

/** Whether what belongs to `owner` is there for a principal. */
export const isTheirs = (owner: Principal, principal: Principal): boolean => owner === principal || principal === OPERATOR;
