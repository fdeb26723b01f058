import { closeSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listDirectory, listEntries, type Page } from '../../../src/workspace/files/listing.ts';
import { shownName } from '../../../src/workspace/names.ts';

const NEVER = new AbortController().signal;
/** more than are sorted at once, so that names are dropped on the way */
const MANY = 12_000;

describe('a large directory', () => {
  let [path, fd] = ['', -1];
  let names: string[] = [];

  beforeAll(() => {
    path = mkdtempSync(join(tmpdir(), 'cellwall-listing-'));
    names = Array.from({ length: MANY }, (_, index) => `${(index * 7919) % MANY}${index % 3 === 0 ? 'é' : ''}`);
    for (const name of names) symlinkSync('x', join(path, name));
    fd = openSync(path, 'r');
    names = names.map((name) => Buffer.from(name).toString('latin1')).toSorted();
  });
  afterAll(() => {
    closeSync(fd);
    rmSync(path, { recursive: true });
  });

  it('any page is what sorting all names by their bytes gives', async () => {
    const page = fc.record({ offset: fc.integer({ min: 1, max: MANY + 50 }), limit: fc.integer({ min: 1, max: 500 }) });
    await fc.assert(
      fc.asyncProperty(page, async ({ offset, limit }) => {
        const { entries, truncated } = await listDirectory(fd, { offset, limit }, 'd', NEVER);
        expect(entries.map(({ name }) => name)).toEqual(names.slice(offset - 1, offset - 1 + limit).map(shownName));
        expect(truncated).toBe(offset - 1 + limit < MANY);
      }),
      { numRuns: 15 },
    );
  });

  it('is given 2 000 entries at a time, whatever is asked for', async () => {
    const { entries, truncated } = await listDirectory(fd, { offset: 1, limit: 1e9 }, 'd', NEVER);
    expect([entries.length, truncated]).toEqual([2000, true]);
  });

  it('is not listed from where too many names would have to be held', async () => {
    const page: Page = { offset: 100_000, limit: 400 };
    await expect(listDirectory(fd, page, 'd', NEVER)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining('entry 100000 of "d"'),
    });
  });

  it('is left when the call is canceled', async () => {
    const controller = new AbortController();
    const listing = listDirectory(fd, { offset: 1, limit: 1 }, 'd', controller.signal);
    controller.abort();
    await expect(listing).rejects.toMatchObject({ code: 'CANCELED' });
  });
});

it('each entry tells what it is, a link is not followed', async () => {
  const path = mkdtempSync(join(tmpdir(), 'cellwall-listing-'));
  writeFileSync(join(path, 'file'), 'four', { mode: 0o600 });
  symlinkSync('/etc', join(path, 'link'));
  const fd = openSync(path, 'r');
  expect(await listDirectory(fd, { offset: 1, limit: 9 }, 'd', NEVER)).toEqual({
    type: 'directory',
    entries: [
      { name: 'file', type: 'file', size: 4, mode: '0600' },
      { name: 'link', type: 'symlink', size: 4, mode: '0777' },
    ],
    truncated: false,
  });
  closeSync(fd);
  rmSync(path, { recursive: true });
});

it('entries that are known already are paged the same way', () => {
  const facts = { type: 'file', size: 0, mode: '0444' } as const;
  const entries = new Map(['b', 'a', 'c\xff'].map((name) => [name, facts]));
  expect(listEntries(entries, { offset: 2, limit: 2 }, 'd', false)).toEqual({
    type: 'directory',
    entries: [
      { name: 'b', ...facts },
      { name: '"c\\377"', ...facts },
    ],
    truncated: false,
  });
  expect(listEntries(entries, { offset: 1, limit: 2 }, 'd', false).truncated).toBe(true);
  expect(listEntries(entries, { offset: 1, limit: 9 }, 'd', true).truncated).toBe(true);
});
