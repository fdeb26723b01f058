/** What programs do to a tree: lists of operations for test/fixtures/change-tree.py, and a tree to do it to. Names and contents one character a byte. */
import fc from 'fast-check';
import { linkTo, type Tree } from './trees.ts';

export type Operation = readonly [name: string, ...args: string[]];

const LINES = Array.from({ length: 40 }, (_, index) => `line ${index}\n`).join('');

/** A project with text of every kind, links, directories in directories, and an empty one. */
export const PROJECT: Tree = {
  a: 'one\ntwo\nthree\n',
  b: LINES,
  crlf: LINES.replaceAll('\n', '\r\n'),
  open: 'no newline at the end',
  bin: Buffer.from([0, 1, 2, 255, 254]),
  latin: Buffer.from('caf\xe9\n', 'latin1'),
  none: '',
  link: linkTo('a'),
  d: { a: 'in d\n', b: LINES, e: { a: 'in e\n', b: 'x\n' } },
  e: { a: 'in e\n', 'sp ace': 'blank\n', 'q"b\\': 'quoted\n' },
  empty: {},
};

const names = fc.constantFrom(
  'a',
  'b',
  'd',
  'e',
  'd',
  'e',
  'bin',
  'crlf',
  'open',
  'none',
  'link',
  'empty',
  'sp ace',
  'q"b\\',
  'n\nl',
  '\xc3\xbc',
  '\xff',
  'x b',
);
const paths = fc.array(names, { minLength: 1, maxLength: 2 }).map((parts) => parts.join('/'));
const contents = fc.oneof(
  fc.constantFrom(
    '',
    'one\ntwo\n',
    'x',
    '\n',
    '\0binary',
    'caf\xe9',
    LINES,
    LINES.replace('line 20', 'another'),
    LINES.slice(7),
    '-- a\n++ b\n',
    '\r\n\r',
    '# not\ndiff --git a/x b/x\n',
  ),
  fc.string({ unit: fc.constantFrom('a\n', 'b\n', 'c\n', '\r\n', 'x', '\xc3\xbc', '\xff', '\x1b[31m'), maxLength: 60 }),
);

const operations: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom('write', 'append'), paths, contents) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('remove', 'mkdir', 'touch', 'fifo', 'remove', 'mkdir'), paths) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('rename', 'move'), paths, paths) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('chmod'), paths, fc.constantFrom('755', '644', '700')) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('link'), paths, fc.constantFrom('a', '../a', '/nowhere/out', 'no/such', '\xff')) },
);

export const operationLists: fc.Arbitrary<Operation[]> = fc.array(operations, { minLength: 4, maxLength: 16 });
