import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numberOf, type Arch } from '../../src/syscall/numbers.ts';
import { encodeTables, type Encoded, type Step } from '../../src/syscall/table.ts';
import { entriesOf, listAt, stringAt, wordAt } from './layout.ts';

const BASE = 0x7f12_3456_7000n;
const NAMES = ['read', 'write', 'openat', 'execve', 'move_mount'] as const;

const encode = (child: readonly Step[], arch: Arch = 'x64'): Encoded => encodeTables({ child }, BASE, arch);
const unsigned = (value: number | bigint): bigint => BigInt.asUintN(64, BigInt(value));

const text = fc.string({ unit: fc.constantFrom('a', '/', '=', ' ', 'é', '漢', '\n'), maxLength: 40 });
const integer = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }));
const argument = fc.oneof(
  integer,
  text,
  fc.array(text, { maxLength: 5 }),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
const step: fc.Arbitrary<Step> = fc.record({
  call: fc.constantFrom(...NAMES),
  args: fc.array(argument, { maxLength: 6 }),
  mayFail: fc.boolean(),
  restart: fc.boolean(),
  last: fc.boolean(),
});

describe('a table', () => {
  it('holds every step as it was said: number, arguments of every kind, flags', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.constantFrom<Arch>('x64', 'arm64'), (steps, arch) => {
        const { bytes } = encode(steps, arch);
        const entries = entriesOf(bytes, BASE, 'child');
        expect(entries.length).toBe(steps.length);
        for (const [index, { call, args, mayFail, restart, last }] of steps.entries()) {
          const entry = entries[index]!;
          expect(entry.number).toBe(BigInt(numberOf(call, arch)));
          expect(entry.flags).toBe((mayFail ? 1n : 0n) | (restart ? 2n : 0n) | (last ? 4n : 0n));
          expect(entry.forward).toBe(0n);
          for (const [position, given] of args.entries()) expectHeld(bytes, entry.args[position]!, given);
        }
      }),
    );
  });

  it('has the same bytes for the same steps, whatever was laid out before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), fc.array(step, { maxLength: 6 }), (steps, others) => {
        const { bytes } = encode(steps);
        encode(others);
        expect(encode(steps.map((one) => ({ ...one }))).bytes).toEqual(bytes);
      }),
    );
  });

  it('never lets the memory of two arguments overlap', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 2, maxLength: 40 }), (texts) => {
        const { bytes } = encode(texts.map((one) => ({ call: 'openat', args: [0, one] })));
        expect(entriesOf(bytes, BASE, 'child').map(({ args }) => stringAt(bytes, BASE, args[1]!))).toEqual(texts);
      }),
    );
  });

  it('lays everything out at multiples of eight', () => {
    fc.assert(
      fc.property(text, fc.array(text), (one, list) => {
        const { bytes } = encode([
          { call: 'openat', args: [0, one] },
          { call: 'execve', args: [one, list] },
        ]);
        const addresses = entriesOf(bytes, BASE, 'child').flatMap(({ address, args }) => [address, ...args]);
        expect(addresses.filter((address) => address % 8n !== 0n)).toEqual([]);
      }),
    );
  });

  it('keeps the lists of the child, of before and of after apart', () => {
    const { bytes } = encodeTables({ child: [{ call: 'setsid', args: [] }], before: [{ call: 'read', args: [1] }], after: [] }, BASE, 'x64');
    expect(entriesOf(bytes, BASE, 'child').map(({ number }) => number)).toEqual([BigInt(numberOf('setsid', 'x64'))]);
    expect(entriesOf(bytes, BASE, 'before').map(({ args }) => args[0])).toEqual([1n]);
    expect(entriesOf(bytes, BASE, 'after')).toEqual([]);
  });

  it('gives the child its memory, its pidfd and the namespaces asked for, and no exit signal but SIGCHLD', () => {
    const { bytes, pidfdOffset } = encodeTables({ child: [], namespaces: 0x20000n }, BASE, 'x64');
    const cloneArgs = Number(wordAt(bytes, 0) - BASE);
    expect(wordAt(bytes, cloneArgs)).toBe(0x100n | 0x1000n | 0x4000n | 0x1_0000_0000n | 0x20000n); // VM, PIDFD, VFORK, CLEAR_SIGHAND
    expect(wordAt(bytes, cloneArgs + 8)).toBe(BASE + BigInt(pidfdOffset));
    expect(wordAt(bytes, cloneArgs + 32)).toBe(17n);
  });

  it('reports failures to no descriptor unless one is named', () => {
    expect(wordAt(encode([]).bytes, 80)).toBe(2n ** 64n - 1n);
    expect(wordAt(encodeTables({ child: [], report: 5 }, BASE, 'x64').bytes, 80)).toBe(5n);
  });

  it('finds the step of an address again, and none for any other', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
        const { bytes, stepAt } = encode(steps);
        entriesOf(bytes, BASE, 'child').forEach(({ address }, index) => expect(stepAt(address)).toBe(steps[index]));
        expect([stepAt(0n), stepAt(BASE), stepAt(BASE + BigInt(bytes.length))]).toEqual([undefined, undefined, undefined]);
      }),
    );
  });
});

describe('the result of a step', () => {
  const open: Step = { call: 'openat', args: [-100, '/x', 0, 0] };

  it('goes into the argument that wants it', () => {
    const { bytes } = encode([open, { call: 'setsid', args: [] }, { call: 'write', args: [{ resultOf: open }, 'text', 4] }]);
    const [first, second, third] = entriesOf(bytes, BASE, 'child');
    expect(first?.forward).toBe(third!.address + 8n);
    expect([second?.forward, third?.forward, third?.args[0]]).toEqual([0n, 0n, 0n]);
  });

  it('cannot be wanted before it exists', () => {
    const write: Step = { call: 'write', args: [{ resultOf: open }, 'text', 4] };
    expect(() => encode([write, open])).toThrow(RangeError);
    expect(() => encode([write])).toThrow('no earlier step');
    expect(() => encodeTables({ before: [open], child: [write] }, BASE, 'x64')).toThrow('no earlier step of its list');
  });

  it('cannot be wanted twice', () => {
    const close: Step = { call: 'close', args: [{ resultOf: open }] };
    expect(() => encode([open, close, { ...close }])).toThrow('wanted twice');
  });
});

it('the same Buffer in two steps is the same memory; equal Buffers are not', () => {
  const shared = Buffer.from('abc');
  const { bytes } = encode([
    { call: 'read', args: [0, shared, 3] },
    { call: 'write', args: [1, shared, 3] },
    { call: 'write', args: [1, Buffer.from(shared), 3] },
  ]);
  const [first, second, third] = entriesOf(bytes, BASE, 'child').map(({ args }) => args[1]);
  expect(second).toBe(first);
  expect(third).not.toBe(first);
});

it('a text that holds a NUL is refused: the kernel would cut it there', () => {
  for (const args of [['a\0b'], [['a', 'b\0c']]]) expect(() => encode([{ call: 'execve', args }])).toThrow(TypeError);
});

it('a seventh argument is refused', () => {
  expect(() => encode([{ call: 'prctl', args: [1, 2, 3, 4, 5, 6, 7] }])).toThrow(RangeError);
});

// What an argument was, as the program that is given the register would find it.
const expectHeld = (bytes: Buffer, held: bigint, given: Step['args'][number]): void => {
  if (typeof given === 'number' || typeof given === 'bigint') expect(held).toBe(unsigned(given));
  else if (typeof given === 'string') expect(stringAt(bytes, BASE, held)).toBe(given);
  else if (Buffer.isBuffer(given)) expect(bytes.subarray(Number(held - BASE), Number(held - BASE) + given.length)).toEqual(given);
  else if (Array.isArray(given)) expect(listAt(bytes, BASE, held)).toEqual(given);
};
