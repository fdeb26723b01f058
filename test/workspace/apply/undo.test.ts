/** Taking applies back. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Journal } from '../../../src/workspace/apply/journal.ts';
import { recoverApplies, undoApply } from '../../../src/workspace/apply/undo.ts';
import { failing, plant, timeless } from '../applies.ts';
import { gitTree } from '../gits.ts';
import { readTree } from '../trees.ts';
describe('taken back', () => {
  const half = async (cut: (host: string, id: string) => void = () => {}) => {
    const planted = plant();
    const { inside, host, undo, apply: run } = planted;
    const before = timeless(host);
    rmSync(`${inside}/d`, { recursive: true });
    writeFileSync(`${inside}/d`, 'a file now');
    appendFileSync(`${inside}/a`, 'x');
    mkdirSync(`${inside}/made`);
    writeFileSync(`${inside}/made/new`, 'new');
    rmSync(`${inside}/e/a`);
    const { undo: id } = await run();
    rmSync(join(undo, id!, 'done')); // as if it had been killed before
    cut(host, id!);
    return { ...planted, before, id: id! };
  };

  it.each<[string, (host: string, id: string) => void]>([
    ['at its end', () => {}],
    ['before the last file', (host) => writeFileSync(`${host}/e/a`, 'in e\n')],
    ['with a temporary file', (host, id) => writeFileSync(`${host}/.cellwall-${id}-0`, 'half')],
    ['before a directory had anything', (host) => (rmSync(`${host}/made/new`), chmodSync(`${host}/made`, 0o700))],
    ['before anything but what made way', (host) => (rmSync(`${host}/made`, { recursive: true }), rmSync(`${host}/d`))],
  ])('is an apply that was cut off %s', async (_, cut) => {
    const { host, undo, original } = await half(cut);
    await recoverApplies(undo);
    expect(gitTree(host)).toEqual(gitTree(original));
    expect(readdirSync(host).toSorted()).toEqual(readdirSync(original).toSorted());
    expect(Journal.list(undo)).toEqual([]);
  }); // prettier-ignore

  it('is nothing of one whose list was not whole', async () => {
    const { host, undo, id } = await half();
    const now = readTree(host);
    rmSync(join(undo, id, 'journal.json'));
    await recoverApplies(undo);
    expect(readTree(host)).toEqual(now);
    expect(Journal.list(undo)).toEqual([]);
  });

  it('is not what somebody has changed since, and it is named', async () => {
    const { inside, host, undo, apply: run } = plant();
    appendFileSync(`${inside}/a`, 'x');
    appendFileSync(`${inside}/b`, 'x');
    const { undo: id } = await run();
    appendFileSync(`${host}/b`, 'mine');
    const now = readTree(host);
    expect((await failing(undoApply(undo, id!))).message).toMatch(/^b changed since they were applied, nothing was written$/);
    expect(readTree(host)).toEqual(now);
    expect((await failing(undoApply(undo, '../../etc'))).code).toBe('APPLY_REFUSED');
  });

  it('is everything when a step fails in the middle', async () => {
    const { inside, host, undo, apply: run } = plant();
    for (const name of ['a', 'b', 'd/a', 'e/a']) appendFileSync(`${inside}/${name}`, 'x');
    rmSync(`${inside}/none`);
    const before = timeless(host);
    // The first files are written by then: the directory of the last is another when its turn comes.
    const ask = async (): Promise<boolean> => {
      const swap = setInterval(() => {
        if (readFileSync(`${host}/a`, 'utf8').endsWith('x')) {
          renameSync(`${host}/e`, `${host}/moved`);
          symlinkSync('moved', `${host}/e`);
          clearInterval(swap);
        }
      }, 0);
      return true;
    };
    const error = await failing(run({ ask }));
    expect([error.code, error.message]).toEqual([
      'APPLY_CONFLICT',
      expect.stringMatching(/e\/a: changed while the changes were written; everything was put back/),
    ]);
    rmSync(`${host}/e`);
    renameSync(`${host}/moved`, `${host}/e`);
    expect(timeless(host)).toEqual(before);
    expect(existsSync(undo) ? Journal.list(undo) : []).toEqual([]);
    expect(lstatSync(`${host}/none`).size).toBe(0);
  });
});

it('only a few old applies are kept', async () => {
  const { inside, apply: run, undo } = plant({ a: '' });
  for (let round = 0; round < 18; round++) {
    writeFileSync(`${inside}/new${round}`, '');
    await run({ paths: [`new${round}`] });
  }
  expect(Journal.list(undo)).toHaveLength(16);
});
