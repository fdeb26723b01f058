/** The devices that programs expect: each gives or takes bytes and reaches nothing (man 4 null, man 4 full, man 4 random). */
import type { Device } from './spec.ts';

export const devices = (): Device[] => [memory('null', 3), memory('zero', 5), memory('full', 7), memory('random', 8), memory('urandom', 9)];

const memory = (name: string, minor: number): Device => ({ path: `/dev/${name}`, type: 'c', major: 1, minor, fileMode: 0o666, uid: 0, gid: 0 });
