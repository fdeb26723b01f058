import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRun } from '../../src/cli/run-line.ts';

const parse = (flags: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv = {}) => parseRun({ flags, operands: ['true'] }, env);

it('operands are the command, as they are', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (operands) => {
      expect(parseRun({ flags: {}, operands }, {}).argv).toEqual(operands);
    }),
  );
});

it('left out: no terminal, no time-out, no variables', () => {
  expect(parse({})).toEqual({ argv: ['true'], isTerminal: false, timeoutMs: 0, env: {} });
});

describe('--timeout', () => {
  it.each([
    ['0', 0],
    ['90', 90_000],
    ['0.5', 500],
    ['.25', 250],
    ['3.', 3000],
    ['0.0001', 1],
  ])('%s is %d ms', (timeout, ms) => expect(parse({ timeout }).timeoutMs).toBe(ms));

  it.each(['', '-1', '1e3', '5s', 'NaN', 'Infinity', '2147484', '0x10', ' 1', '1,5'])('%j is refused', (timeout) => {
    expect(() => parse({ timeout })).toThrow(/^--timeout: expected seconds such as 90 or 0\.5, or 0 for none, got "/);
  });

  it('what is above 0 is a time', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.0001, max: 2_000_000, noNaN: true }), (seconds) => {
        expect(parse({ timeout: seconds.toFixed(6) }).timeoutMs).toBeGreaterThan(0);
      }),
    );
  });
});

describe('--env', () => {
  const name = fc.stringMatching(/^[A-Za-z_]\w*$/);

  it('the first = ends the name, whatever follows is the value', () => {
    fc.assert(
      fc.property(name, fc.string(), (key, value) => {
        expect(parse({ env: [`${key}=${value}`] }).env).toEqual({ [key]: value });
      }),
    );
  });

  it('a name alone takes the value from here, and nothing where there is none', () => {
    expect(parse({ env: ['A', 'B', 'C='] }, { A: 'a', C: 'c' }).env).toEqual({ A: 'a', C: '' });
  });

  it('the last of a name counts', () => {
    expect(parse({ env: ['A=1', 'A=2'] }).env).toEqual({ A: '2' });
  });

  it.each(['', '=', '=x'])('%j has no name and is refused', (variable) => expect(() => parse({ env: [variable] })).toThrow('it has no name'));
});
