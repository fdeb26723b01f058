import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { RequestType, RequestType0 } from 'vscode-jsonrpc';
import { ERRORS } from '../src/errors.ts';
import * as protocol from '../src/protocol.ts';
import { allTools } from '../tools/index.ts';
import { importsOf, ROOT } from './imports.ts';

test('every tool has a method, and nothing else but server.info', () => {
  const methods = Object.values(protocol).flatMap((one) => (one instanceof RequestType || one instanceof RequestType0 ? [one.method] : []));
  expect(methods.toSorted()).toEqual([...allTools.map(({ name }) => name), 'server.info'].toSorted());
});

test('every error has its number', () => {
  expect(protocol.NUMBERS).toMatchObject({ SANDBOX_NOT_FOUND: 1101, HOST_FULL: 1701, INVALID_PARAMS: -32602 });
  expect(Object.keys(protocol.NUMBERS)).toEqual(Object.keys(ERRORS));
});

test('a client that imports it loads nothing of the server', () => {
  const loadedBy = (file: string): readonly string[] =>
    importsOf(file)
      .filter(({ isType }) => !isType)
      .flatMap(({ to }) => [to, ...(to.endsWith('.ts') ? loadedBy(to) : [])]);
  expect(loadedBy('src/protocol.ts').toSorted()).toEqual(['src/errors.ts', 'vscode-jsonrpc']);
});

// As somebody has them who installed both packages, with every declaration checked.
test('a client in TypeScript compiles against what was built', () => {
  const client = mkdtempSync(join(inject('runDirectory'), 'protocol-'));
  for (const scope of ['node_modules/@types', 'src']) mkdirSync(join(client, scope), { recursive: true });
  symlinkSync(ROOT, join(client, 'node_modules/cellwall'));
  for (const name of ['vscode-jsonrpc', '@types/node']) symlinkSync(join(ROOT, 'node_modules', name), join(client, 'node_modules', name));
  copyFileSync(join(ROOT, 'test/fixtures/protocol-client.ts'), join(client, 'src/client.ts'));
  writeFileSync(join(client, 'package.json'), '{"type":"module"}');
  const compilerOptions = { module: 'nodenext', target: 'es2023', strict: true, noEmit: true, skipLibCheck: false, types: ['node'] };
  writeFileSync(join(client, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', client], { encoding: 'utf8' });
  expect(stdout).toBe('');
});
