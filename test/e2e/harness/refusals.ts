/** What a call that has to fail answers, and what such an answer never holds. */
import { expect } from 'vitest';
import { ERRORS, type ErrorCode } from '../../../src/errors.ts';
import { CallError } from './client.ts';
import { installation } from './installation.ts';
import type { Home } from './home.ts';

/** The error of a call that has to be refused with this code: its hint is there, and whether it is retryable is what the table says. */
export const refused = async (code: ErrorCode, call: Promise<unknown>): Promise<CallError> => {
  const error = await call.then(
    (result) => expect.fail(`expected ${code}, got ${JSON.stringify(result).slice(0, 300)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CallError)) throw error;
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringContaining(`${code}: `) as string });
  expect(error.retryable, `retryable of ${code}`).toBe(ERRORS[code].retryable);
  expect(error.message, `the hint of ${code} in its text`).toContain(`\nhint: ${error.hint}`);
  expect(error.hint).not.toBe('');
  return error;
};

/** Demands that a text for a client names no path of the host, no stack and no argument of a helper program; `named`: what the client named itself. */
export const expectNothingOfTheHost = (text: string, home: Home, named = ''): void => {
  const rest = named === '' ? text : text.replaceAll(named, '');
  const traces = [
    home.directory,
    home.stateDir,
    home.cacheDir,
    installation().root,
    'node_modules',
    '/run/cellwall/',
    '--root=',
    '--platform',
    '.ts:',
    '.js:',
    '    at ',
  ];
  expect(
    traces.filter((trace) => rest.includes(trace)),
    rest,
  ).toEqual([]);
};
