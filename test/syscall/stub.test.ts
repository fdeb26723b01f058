import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Arch } from '../../src/syscall/numbers.ts';
import { PROGRAM_BLOCK, STUBS } from '../../src/syscall/stub.ts';
import { itWith } from '../requirements.ts';

const BINUTILS: Readonly<Record<Arch, { prefix: string; as: readonly string[] }>> = {
  x64: { prefix: process.arch === 'x64' ? '' : 'x86_64-linux-gnu-', as: ['--64'] },
  arm64: { prefix: process.arch === 'arm64' ? '' : 'aarch64-linux-gnu-', as: [] },
};

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cellwall-stub-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

for (const arch of ['x64', 'arm64'] as const) {
  const { prefix, as } = BINUTILS[arch];
  const tools = { as: `${prefix}as`, objcopy: `${prefix}objcopy`, nm: `${prefix}nm` };
  const source = new URL(`../../src/syscall/stub-${arch}.S`, import.meta.url).pathname;

  itWith(Object.values(tools), `the launch code for ${arch} is what its source assembles to`, () => {
    const [object, raw] = [join(directory, `${arch}.o`), join(directory, `${arch}.bin`)];
    execFileSync(tools.as, [...as, source, '-o', object]);
    execFileSync(tools.objcopy, ['-O', 'binary', '-j', '.text', object, raw]);
    const [address] = execFileSync(tools.nm, [object], { encoding: 'utf8' }).match(/^[0-9a-f]+(?= t program$)/m) ?? [];
    expect({ code: readFileSync(raw).toString('hex'), programEntry: Number.parseInt(address ?? '', 16) }).toEqual({
      code: STUBS[arch].code.toString('hex'),
      programEntry: STUBS[arch].programEntry,
    });
  });

  it(`the source for ${arch} places a program's block where elf.ts puts it`, () => {
    expect(readFileSync(source, 'utf8')).toMatch(new RegExp(`mov +(ebx, |x19, #)0x${PROGRAM_BLOCK.toString(16)}\\b`));
  });
}
