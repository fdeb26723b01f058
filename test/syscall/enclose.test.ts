import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { cameBack, INSIDE_ID, namespaceSteps } from '../../src/syscall/enclose.ts';
import { mode, user } from '../e2e/harness/mode.ts';
import { enclosed } from './enclosed.ts';

const Who = z.object({
  pid: z.tuple([z.number(), z.number()]),
  ids: z.array(z.number()),
  uidMap: z.array(z.number()),
  capabilities: z.string(),
  namespaces: z.tuple([z.string(), z.string()]),
  markers: z.array(z.string()),
  secret: z.string().optional(),
  argv: z.array(z.string()),
  stdin: z.string(),
  propagation: z.number(),
  childIds: z.string(),
});
const whoami = (options?: Parameters<typeof enclosed>[1]): z.output<typeof Who> & { directory: string } => {
  const { result, directory } = enclosed('whoami', options);
  return { ...Who.parse(result), directory };
};

describe(`one namespace down, as ${mode}`, () => {
  it('is the same process, with its arguments, its environment and every byte of its stdin', () => {
    const { pid, argv, stdin, secret, directory } = whoami({ stdin: 'not a byte is lost\n', env: { CELLWALL_TEST_SECRET: 'é kept' } });
    expect({ samePid: pid[0] === pid[1], argv, stdin, secret }).toEqual({
      samePid: true,
      argv: ['whoami', directory],
      stdin: 'not a byte is lost\n',
      secret: 'é kept',
    });
  });

  it('has a mount namespace of its own, and a user namespace exactly where it is an ordinary user', () => {
    const { namespaces } = whoami();
    expect(namespaces[0]).not.toBe(readlinkSync('/proc/self/ns/mnt'));
    expect(namespaces[1] === readlinkSync('/proc/self/ns/user')).toBe(mode === 'root');
  });

  it('is root still, or uid 1000 that is the user outside, with capabilities that its children keep', () => {
    const { ids, uidMap, capabilities, childIds } = whoami();
    const inside = mode === 'root' ? 0 : INSIDE_ID;
    expect([ids, childIds]).toEqual([[inside, inside], String(inside)]);
    if (mode === 'user') expect(uidMap).toEqual([INSIDE_ID, user.uid, 1]);
    const needed = [1, 6, 7, 21].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n); // DAC_OVERRIDE, SETGID, SETUID, SYS_ADMIN
    expect(BigInt(`0x${capabilities}`) & needed).toBe(needed);
  });

  it('removes the marker of its way back, and what it mounts is shared with nobody', () => {
    const { markers, propagation } = whoami();
    expect([markers, propagation]).toEqual([[], 0]);
  });

  it('leaves no mount behind: nobody else sees it, then or later', () => {
    const { directory, result } = enclosed('leave');
    expect(result).toEqual({ inside: ['file'], point: `${directory}/left` });
    expect(readdirSync(`${directory}/left`)).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(directory);
  });
});

describe('the marker', () => {
  it('of another process is not believed, and removed all the same', () => {
    for (const planted of [`${process.pid + 1}:4026531840`, '1:1', 'x', '', `${process.pid}`, `${process.pid}:`, `0${process.pid}:1`]) {
      const env: NodeJS.ProcessEnv = { CELLWALL_ENCLOSED: planted, A: '1' };
      expect([cameBack(env), env]).toEqual([null, { A: '1' }]);
    }
    expect(cameBack({})).toBeNull();
  });

  it('of this process tells which namespace it came from', () => {
    expect(cameBack({ CELLWALL_ENCLOSED: `${process.pid}:4026531840` })).toEqual({ outside: '4026531840' });
  });
});

describe('the steps that make the namespaces', () => {
  const names = (uid: number): readonly string[] =>
    namespaceSteps({ uid, gid: uid }).map(({ call, args }) => (call === 'openat' ? `openat ${args[1] as string}` : call));

  it('come in this order', () => {
    expect(names(0)).toEqual(['unshare', 'mount']);
    expect(names(1234).slice(0, 10)).toEqual([
      'unshare',
      'openat /proc/self/setgroups',
      'write',
      'openat /proc/self/uid_map',
      'write',
      'openat /proc/self/gid_map',
      'write',
      'mount',
      'capset',
      'prctl',
    ]);
    expect(new Set(names(1234).slice(9))).toEqual(new Set(['prctl']));
  });

  it('map one id, that of the user', () => {
    const written = namespaceSteps({ uid: 1234, gid: 5678 }).flatMap(({ call, args }) => (call === 'write' ? [args[1]] : []));
    expect(written).toEqual(['deny', '1000 1234 1', '1000 5678 1']);
  });
});
