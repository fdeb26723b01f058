import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, loadConfig, options } from '../src/config.ts';

const place = mkdtempSync(join(tmpdir(), 'cellwall-config-'));
afterAll(() => rmSync(place, { recursive: true }));
const env = { HOME: '/home/someone' };
const file = (text: string, name = 'config.json'): string => {
  const path = join(place, name);
  writeFileSync(path, text);
  return path;
};

describe('defaults', () => {
  test('are those of the contract, with state and cache below the home', () => {
    expect(loadConfig({}, env, '/w')).toEqual({
      policy: 'offline',
      allowRoot: [],
      maxSandboxes: 8,
      toolResults: 'both',
      dottedNames: false,
      allowApply: false,
      logLevel: 'info',
      stateDir: '/home/someone/.local/state/cellwall',
      cacheDir: '/home/someone/.cache/cellwall',
    });
  });

  test('follow the XDG variables where these are absolute', () => {
    expect(loadConfig({}, { ...env, XDG_STATE_HOME: '/s', XDG_CACHE_HOME: 'relative' }, '/w')).toMatchObject({
      stateDir: '/s/cellwall',
      cacheDir: '/home/someone/.cache/cellwall',
    });
  });

  test('of one command go before those of all, and after whatever is set', () => {
    expect(loadConfig({}, env, '/w', { logLevel: 'warn' }).logLevel).toBe('warn');
    expect(loadConfig({}, { ...env, CELLWALL_LOG_LEVEL: 'error' }, '/w', { logLevel: 'warn' }).logLevel).toBe('error');
    expect(loadConfig({ config: file('{"logLevel": "debug"}') }, env, '/w', { logLevel: 'warn' }).logLevel).toBe('debug');
  });

  test('need no HOME', () => {
    expect(loadConfig({}, {}, '/w').stateDir).toMatch(/^\/.*\/cellwall$/);
  });
});

test('the context "none" is no path, wherever it is said; a directory of that name is ./none', () => {
  const settings = [loadConfig({ context: 'none' }, env, '/w'), loadConfig({}, { ...env, CELLWALL_CONTEXT: 'none' }, '/w')];
  expect([...settings, loadConfig({ config: file('{"context": "none"}') }, env, '/w')].map(({ context }) => context)).toEqual(['none', 'none', 'none']);
  expect(loadConfig({ context: './none', policies: 'none' }, env, '/w')).toMatchObject({ context: '/w/none', policies: '/w/none' });
});

describe('precedence', () => {
  test('an option wins over its twin, a twin over the file', () => {
    const config = file('{"maxSandboxes": 3}');
    const twin = { ...env, CELLWALL_MAX_SANDBOXES: '4' };
    expect(loadConfig({ config }, env, '/w').maxSandboxes).toBe(3);
    expect(loadConfig({ config }, twin, '/w').maxSandboxes).toBe(4);
    expect(loadConfig({ config, maxSandboxes: '5' }, twin, '/w').maxSandboxes).toBe(5);
  });

  test('the file is the one that is named, by option or by twin, else that of the user', () => {
    mkdirSync(join(place, 'xdg/cellwall'), { recursive: true });
    writeFileSync(join(place, 'xdg/cellwall/config.json'), '{"maxSandboxes": 2}');
    const user = { ...env, XDG_CONFIG_HOME: join(place, 'xdg') };
    expect(loadConfig({}, user, '/w').maxSandboxes).toBe(2);
    expect(loadConfig({}, { ...user, CELLWALL_CONFIG: file('{"maxSandboxes": 6}', 'b.json') }, '/w').maxSandboxes).toBe(6);
    expect(loadConfig({ config: file('{"maxSandboxes": 7}') }, { ...user, CELLWALL_CONFIG: '/no/such' }, '/w').maxSandboxes).toBe(7);
  });

  test('nothing is read from the working directory', () => {
    for (const name of ['config.json', 'cellwall.config.json']) file('{"maxSandboxes": 3}', name);
    expect(loadConfig({}, env, place).maxSandboxes).toBe(8);
  });
});

describe('values', () => {
  test('every option has a twin and a key, and both take the same values', () => {
    const samples: Record<string, [text: string, value: unknown]> = {
      context: ['/c', '/c'],
      allowRoot: ['/a:/b', ['/a', '/b']],
      policy: ['scratch', 'scratch'],
      policies: ['/p', '/p'],
      floor: ['/f', '/f'],
      maxSandboxes: ['3', 3],
      stateDir: ['/s', '/s'],
      cacheDir: ['/d', '/d'],
      toolResults: ['text', 'text'],
      dottedNames: ['1', true],
      allowApply: ['1', true],
      logLevel: ['debug', 'debug'],
      clientProcessId: ['77', 77],
    };
    expect(options.map((option) => option.key)).toEqual(Object.keys(samples));
    for (const [key, [text, value]] of Object.entries(samples)) {
      const twin = `CELLWALL_${key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`;
      expect(loadConfig({}, { ...env, [twin]: text }, '/w')).toHaveProperty(key, value);
      expect(loadConfig({ config: file(JSON.stringify({ [key]: value })) }, env, '/w')).toHaveProperty(key, value);
    }
  });

  test('a switch is on by 1 or true, off by 0 or false', () => {
    const dotted = (text: string): boolean => loadConfig({}, { ...env, CELLWALL_DOTTED_NAMES: text }, '/w').dottedNames;
    expect(['1', 'true', '0', 'false', ''].map(dotted)).toEqual([true, true, false, false, false]);
  });

  test('a relative path starts where it was written: at the working directory, or beside the file', () => {
    expect(loadConfig({ context: '.', allowRoot: ['..', 'x'] }, env, '/w/p')).toMatchObject({ context: '/w/p', allowRoot: ['/w', '/w/p/x'] });
    expect(loadConfig({}, { ...env, CELLWALL_STATE_DIR: 's' }, '/w').stateDir).toBe('/w/s');
    expect(loadConfig({ config: file('{"policies": "mine"}') }, env, '/w').policies).toBe(join(place, 'mine'));
  });

  test('CELLWALL_RUNSC names the runsc', () => {
    expect(loadConfig({}, { ...env, CELLWALL_RUNSC: '/opt/runsc' }, '/w').runsc).toBe('/opt/runsc');
  });
});

describe('a mistake', () => {
  const mistake = (given: object, extra: object = {}): string => {
    try {
      loadConfig({ ...given }, { ...env, ...extra }, '/w');
      return '';
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as ConfigError).message;
    }
  };

  test.each([
    [{ maxSandboxes: 'many' }, {}, '--max-sandboxes: expected `maxSandboxes` to be a number, got "many" (string)'],
    [{ maxSandboxes: '0' }, {}, '--max-sandboxes: expected `maxSandboxes` to be a number of at least 1, got 0 (number)'],
    [{ toolResults: 'loud' }, {}, '--tool-results: expected `toolResults` to be one of "both", "text", "structured", got "loud" (string)'],
    [{ clientProcessId: '-1' }, {}, '--clientProcessId: expected `clientProcessId` to be a number, got "-1" (string)'],
    [{}, { CELLWALL_LOG_LEVEL: 'loud' }, 'CELLWALL_LOG_LEVEL: expected `logLevel` to be one of'],
    [{}, { CELLWALL_DOTTED_NAMES: 'yes' }, 'CELLWALL_DOTTED_NAMES: expected `dottedNames` to be true or false, got "yes" (string)'],
    [{ config: '/no/such/config.json' }, {}, '/no/such/config.json: the configuration file cannot be read: there is no such file'],
    [{ config: '/' }, {}, '/: the configuration file cannot be read: EISDIR'],
  ])('is named by where it was made: %j %j', (given, extra, message) => {
    expect(mistake(given, extra)).toContain(message);
    expect(mistake(given, extra)).not.toContain('\n');
  });

  test.each([
    ['{', 'is not JSON: '],
    ['{\n"a": \n}', 'is not JSON: '],
    ['[1]', 'is not a JSON object'],
    ['{"noSuchKey": 1}', 'noSuchKey: there is no such setting; there are context, allowRoot'],
    ['{"__proto__": {"maxSandboxes": 1}}', '__proto__: there is no such setting'],
    ['{"config": "/x"}', 'config: there is no such setting'],
    ['{"maxSandboxes": "many"}', 'maxSandboxes: expected `maxSandboxes` to be a number, got "many" (string)'],
    ['{"allowRoot": "/x"}', 'allowRoot: expected `allowRoot` to be an array, got "/x" (string)'],
    ['{"policy": null}', 'policy: expected `policy` to be a string, got null'],
  ])('in the file %s is named with the file', (text, message) => {
    expect(mistake({ config: file(text, 'broken.json') })).toMatch(/\/broken\.json: /);
    expect(mistake({ config: file(text, 'broken.json') })).toContain(message);
  });

  test('is always one, whatever the file holds', () => {
    fc.assert(
      fc.property(fc.json(), (text) => void mistake({ config: file(text, 'any.json') })),
      { numRuns: 50 },
    );
  });
});
