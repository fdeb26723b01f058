import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { openDirectory } from '../../../src/syscall/files.ts';
import { copyEntries } from '../../../src/workspace/context/copy.ts';
import { copyFile } from '../../../src/workspace/context/filecopy.ts';
import { laneOf } from '../../../src/workspace/context/lane.ts';
import { Lanes } from '../../../src/workspace/context/lanes.ts';
import { Layer } from '../../../src/workspace/store/layer.ts';
import { Pace } from '../../../src/workspace/pace.ts';
import { copySizeOf, ROW_WORDS } from '../../../src/workspace/store/rows.ts';
import { judgeOf, type Judge } from '../../../src/workspace/context/rules.ts';
import { scanContext } from '../../../src/workspace/context/scan.ts';
import { rowsOf, summaryOf } from '../../../src/workspace/store/summary.ts';
import { itWith } from '../../requirements.ts';
import { copyTree, linkTo, makeTree, namesIn, newDirectory, NO_ROOTS } from '../trees.ts';

const NEVER = new AbortController().signal;
const judge = judgeOf({ exclude: [], include: [] });

/** Scans a tree, lets `change` happen, and then copies what the scan found. */
const copyAfter = async (source: string, change: () => void) => {
  const pace = new Pace(NEVER);
  const destination = newDirectory();
  const [from, to] = [openDirectory(source), openDirectory(destination)];
  const scan = await scanContext(from, { judge, limits: { maxFiles: 100, maxBytes: 1000 }, allowed: NO_ROOTS, pace });
  const options = { rules: { exclude: [], include: [] }, owner: null, signal: NEVER };
  const lanes = new Lanes(laneOf, options);
  try {
    change();
    const leftOut = await copyEntries(scan, new Layer(to, null, pace), { lanes, known: null, maxBytes: 1000 });
    const { paths, words } = rowsOf(scan, Infinity);
    return { ...(await summaryOf(paths, words, pace)), leftOut, path: destination };
  } finally {
    scan.close();
    closeSync(from);
    closeSync(to);
  }
};
const outside = makeTree({ secret: 'of the host' });
const refused = { code: 'CONTEXT_REFUSED', message: expect.stringContaining('keeps changing') };

describe('between the look and the copy', () => {
  it('a directory that became a link is refused', async () => {
    const source = makeTree({ d: { secret: 'mine' } });
    const swap = () => {
      rmSync(`${source}/d`, { recursive: true });
      symlinkSync(outside, `${source}/d`);
    };
    await expect(copyAfter(source, swap)).rejects.toMatchObject(refused);
  });

  it('a directory that became a link to a secret of the context is refused', async () => {
    const source = makeTree({ d: { e: { secret: 'mine' } }, '.aws': { e: { secret: 'a key' } } });
    const swap = () => {
      rmSync(`${source}/d`, { recursive: true });
      symlinkSync('.aws', `${source}/d`);
    };
    await expect(copyAfter(source, swap)).rejects.toMatchObject(refused);
  });

  it('a file that became a link is refused', async () => {
    const source = makeTree({ secret: 'mine' });
    const swap = () => {
      rmSync(`${source}/secret`);
      symlinkSync(`${outside}/secret`, `${source}/secret`);
    };
    await expect(copyAfter(source, swap)).rejects.toMatchObject(refused);
  });

  itWith(['mkfifo'], 'a file that became a FIFO is refused and not waited for', async () => {
    const source = makeTree({ file: 'mine' });
    const swap = () => {
      rmSync(`${source}/file`);
      execFileSync('mkfifo', [`${source}/file`]);
    };
    await expect(copyAfter(source, swap)).rejects.toMatchObject(refused);
  });

  it('a file that has grown beyond the limit is refused before it is read', async () => {
    const source = makeTree({ file: 'mine' });
    await expect(copyAfter(source, () => truncateSync(`${source}/file`, 2 ** 40))).rejects.toMatchObject(refused);
  });

  it('a file that changed is copied as it is now', async () => {
    const source = makeTree({ file: 'old' });
    const copy = await copyAfter(source, () => writeFileSync(`${source}/file`, 'new and longer'));
    expect(readFileSync(`${copy.path}/file`, 'utf8')).toBe('new and longer');
    expect(copy.bytes).toBe(14);
  });

  it('what is gone is not copied', async () => {
    const source = makeTree({ a: '', file: '', d: { x: '' } });
    const copy = await copyAfter(source, () => ['file', 'd'].forEach((name) => rmSync(`${source}/${name}`, { recursive: true })));
    expect(namesIn(copy.path)).toEqual(['a', 'd/']);
    expect([copy.files, copy.leftOut]).toEqual([1, []]);
  });
});

describe('while it is copied', () => {
  const copyWhile = async (change: (path: string, time: number) => void) => {
    const [source, destination] = [makeTree({ file: 'a line that is longer than the buffer\n' }), newDirectory()];
    const [from, to] = [openDirectory(source), openDirectory(destination)];
    const words = new Uint32Array(ROW_WORDS);
    let times = 0;
    // Asked after the first piece is read: the moment for a writer to come in between.
    const interrupted: Judge = { ...judge, byContent: () => (change(`${source}/file`, times++), null) };
    try {
      const work = { path: 'file', source: from, place: '', to, room: 999, known: null };
      await copyFile(work, words, 0, { judge: interrupted, owner: null, pace: new Pace(NEVER), buffer: Buffer.alloc(16) });
      return { size: copySizeOf(words, 0), times, content: readFileSync(`${destination}/file`, 'utf8') };
    } finally {
      closeSync(from);
      closeSync(to);
    }
  };

  it('a file that is written to is copied again', async () => {
    const { size, times, content } = await copyWhile((path, time) => time < 2 && appendFileSync(path, `${time}\n`));
    expect(times).toBe(3);
    expect(content).toBe('a line that is longer than the buffer\n0\n1\n');
    expect(size).toBe(42);
  });

  it('a file that is replaced by another is copied again', async () => {
    const { content } = await copyWhile((path, time) => {
      if (time > 0) return;
      writeFileSync(`${path}.new`, 'one more line that is longer than the buffer\n');
      renameSync(`${path}.new`, path);
    });
    expect(content).toBe('one more line that is longer than the buffer\n');
  });

  it('a file that is cut short is copied again', async () => {
    expect((await copyWhile((path, time) => time === 0 && truncateSync(path, 20))).content).toBe('a line that is longe'.slice(0, 20));
  });

  it('a file that has only just changed is waited for, because its time could not tell a further change', async () => {
    const source = makeTree({ file: 'x' });
    const changedMs = Number(statSync(`${source}/file`, { bigint: true }).ctimeMs);
    const waits: number[] = [];
    for (const age of [0, 19, 25, -1_000_000]) {
      const counting = new (class extends Pace {
        override due = () => false;
        override check = () => void waits.push(age);
      })(NEVER);
      vi.useFakeTimers({ toFake: ['Date'], now: changedMs + age });
      const lane = laneOf({ rules: null, owner: null }, counting);
      const from = openDirectory(source);
      await lane({ source: from, place: '', paths: ['file'], to: null, known: null, room: 9 });
      closeSync(from);
      vi.useRealTimers();
    }
    expect(waits).toEqual([0, 19]);
  });

  it('a file that is written to all the time is refused', async () => {
    await expect(copyWhile((path) => appendFileSync(path, '.'))).rejects.toMatchObject(refused);
  });
});

it('a directory and a link out that change places all the time never bring in what lies outside', async () => {
  const source = makeTree({ d: { secret: 'mine', e: { secret: 'mine' } }, l: linkTo(outside) });
  makeTree({ e: { secret: 'of the host' } }, outside);
  const loop = `const { renameSync: r } = require('fs'); process.chdir(${JSON.stringify(source)}); console.log('ready');
    for (;;) { r('d', 'x'); r('l', 'd'); r('x', 'l'); r('d', 'x'); r('l', 'd'); r('x', 'l'); }`;
  const swapping = spawn(process.execPath, ['-e', loop], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(swapping.stdout, 'data');
    for (let round = 0; round < 60; round++) {
      const destination = newDirectory();
      await copyTree(source, { destination }).catch((error: unknown) => expect(error).toMatchObject(refused));
      for (const name of namesIn(destination).filter((some) => some.endsWith('secret'))) expect(readFileSync(`${destination}/${name}`, 'utf8')).toBe('mine');
    }
  } finally {
    swapping.kill('SIGKILL');
    await once(swapping, 'exit');
  }
});
