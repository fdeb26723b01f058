/** sandbox_diff over overlays that are mounted for real, as root (trusted attributes, renamed directories) and as an ordinary user. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mode } from '../e2e/harness/mode.ts';
import { itWith } from '../requirements.ts';
import { enclosed } from '../syscall/enclosed.ts';
import { operationLists, PROJECT } from './operations.ts';

/** The project as two layers: the upper one replaces, removes and adds. Contents as text, one character a byte. */
const textual = (tree: object): object =>
  Object.fromEntries(
    Object.entries(tree).map(([name, node]: [string, unknown]) => [
      name,
      Buffer.isBuffer(node) ? node.toString('latin1') : typeof node === 'object' && node !== null && !('link' in node) ? textual(node) : node,
    ]),
  );
const whiteout = { whiteout: true };
const LAYERS = [
  { old: whiteout, d: { gone: whiteout, a: 'in d\n' }, was: 'a file now\n', a: 'one\ntwo\nthree\n' },
  { ...textual(PROJECT), old: { a: '' }, d: { ...textual(PROJECT['d'] as object), gone: 'x', a: 'older\n' }, was: { x: '' }, a: 'older\n' },
];

const told = (cases: Readonly<Record<string, readonly (readonly string[])[]>>) =>
  enclosed('overlayChanges', { stdin: JSON.stringify({ layers: LAYERS, cases }) }).result;

describe(`the diff of an overlay, as ${mode}`, () => {
  it('tells what programs did, and nothing else', () => {
    const operations = {
      nothing: [],
      'times and copies up': [
        ['touch', 'a'],
        ['chmod', 'b', '755'],
        ['chmod', 'b', '644'],
        ['append', 'd/a', ''],
      ],
      'removed and made again as it was': [
        ['remove', 'a'],
        ['write', 'a', 'one\ntwo\nthree\n'],
        ['remove', 'empty'],
        ['mkdir', 'empty'],
      ],
      'a lower directory removed': [['remove', 'd']],
      'a lower directory removed and made anew': [
        ['remove', 'd'],
        ['mkdir', 'd'],
        ['write', 'd/b', 'new'],
        ['mkdir', 'd/e'],
        ['write', 'd/e/a', 'in e\n'],
      ],
      'a lower directory moved': [['move', 'd/e', 'moved']],
      'a lower directory moved away and another to its place': [
        ['move', 'd', 'x'],
        ['move', 'e', 'd'],
      ],
      'a directory where a file was, and the other way round': [
        ['remove', 'a'],
        ['mkdir', 'a'],
        ['write', 'a/x', ''],
        ['remove', 'd'],
        ['write', 'd', ''],
      ],
      'modes, links, FIFOs': [
        ['chmod', 'a', '755'],
        ['chmod', 'd', '700'],
        ['chmod', 'empty', '700'],
        ['remove', 'link'],
        ['link', 'link', 'b'],
        ['fifo', 'pipe'],
        ['remove', 'b'],
        ['link', 'b', 'a'],
      ],
      'what an older layer had': [
        ['write', 'old', ''],
        ['write', 'd/gone', 'x'],
        ['remove', 'was'],
      ],
    };
    const d = { 'd/a': 'deleted', 'd/b': 'deleted', 'd/e/a': 'deleted', 'd/e/b': 'deleted' };
    expect(told(operations)).toEqual({
      nothing: {},
      'times and copies up': {},
      'removed and made again as it was': {},
      'a lower directory removed': d,
      'a lower directory removed and made anew': { 'd/a': 'deleted', 'd/b': 'modified', 'd/e/b': 'deleted' },
      'a lower directory moved': { 'd/e/a': 'deleted', 'd/e/b': 'deleted', 'moved/a': 'added', 'moved/b': 'added' },
      'a lower directory moved away and another to its place': {
        'd/a': 'modified',
        'd/b': 'deleted',
        'd/e/a': 'deleted',
        'd/e/b': 'deleted',
        'd/q"b\\': 'added',
        'd/sp ace': 'added',
        'e/a': 'deleted',
        'e/q"b\\': 'deleted',
        'e/sp ace': 'deleted',
        'x/a': 'added',
        'x/b': 'added',
        'x/e/a': 'added',
        'x/e/b': 'added',
      },
      'a directory where a file was, and the other way round': { a: 'type_changed', 'a/x': 'added', d: 'type_changed', ...d },
      'modes, links, FIFOs': { a: 'mode_changed', empty: 'mode_changed', link: 'modified', b: 'type_changed' },
      'what an older layer had': { old: 'added', 'd/gone': 'added', was: 'deleted' },
    });
  });

  itWith(['git', 'python3'], 'is that of all files compared, and its patch is what git makes of it, whatever was done', () => {
    const seed = Date.now();
    const lists = fc.sample(operationLists, { numRuns: 60, seed });
    const { wrong, changed } = enclosed('overlayProperty', { stdin: JSON.stringify({ layers: LAYERS, lists }) }).result as {
      wrong: unknown[];
      changed: number;
    };
    expect(wrong, `with seed ${seed}: ${JSON.stringify(wrong, null, 1)}`).toEqual([]);
    expect(changed).toBeGreaterThan(30);
  });
});
