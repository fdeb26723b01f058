import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyEdits } from '../../../src/workspace/files/edits.ts';
import { writePath, type WriteInput, type WriteResult } from '../../../src/workspace/files/write.ts';

let place: string;
let root: number;
const owner = { uid: process.getuid!(), gid: process.getgid!() };

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'cellwall-write-'));
  mkdirSync(join(place, 'tree/workspace'), { recursive: true });
  root = openSync(join(place, 'tree'), 'r');
});
afterEach(() => {
  closeSync(root);
  rmSync(place, { recursive: true, force: true });
});

const write = (input: WriteInput): WriteResult => writePath(root, input, { contextPath: '/home/me/project', owner });
const inside = (path: string): string => join(place, 'tree', path);
const thrown = (input: WriteInput): string => {
  try {
    write(input);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  return 'nothing thrown';
};

describe('a new file', () => {
  test('has its missing directories made, its content and 0644', () => {
    expect(write({ path: 'a/b/c.txt', content: 'zwölf\n' })).toEqual({
      path: 'a/b/c.txt',
      size: 7,
      sha256: createHash('sha256').update('zwölf\n').digest('hex'),
      created: true,
    });
    expect(readFileSync(inside('workspace/a/b/c.txt'), 'utf8')).toBe('zwölf\n');
    expect(statSync(inside('workspace/a/b/c.txt')).mode & 0o777).toBe(0o644);
  });

  test('gets the mode that was asked for; an existing one keeps its own', () => {
    write({ path: 'run', content: '', mode: '0755' });
    write({ path: 'run', content: 'x', mode: '600' });
    expect(statSync(inside('workspace/run')).mode & 0o777).toBe(0o755);
  });

  test('may be bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        write({ path: 'bytes', content: Buffer.from(bytes).toString('base64'), encoding: 'base64' });
        expect(readFileSync(inside('workspace/bytes')).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });

  test("at the context's own path on the host is one in the workspace", () => {
    write({ path: '/home/me/project/x', content: 'x' });
    expect(existsSync(inside('workspace/x'))).toBe(true);
  });
});

describe('a write leaves the tree', () => {
  test('never: not by links, however they are built', () => {
    const outside = join(place, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'file'), 'host');
    symlinkSync(join(outside, 'file'), inside('workspace/absolute'));
    symlinkSync('../../outside/file', inside('workspace/relative'));
    symlinkSync(outside, inside('workspace/directory'));
    symlinkSync('/proc/self/root', inside('workspace/magic'));
    for (const path of ['absolute', 'relative', 'directory/file', 'directory/new/deep', `magic${outside}/file`, '../../outside/file'])
      thrown({ path, content: 'sandbox' });
    expect(readdirSync(outside)).toEqual(['file']);
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('host');
  });

  test('not while a program swaps a directory for a link to outside', () => {
    const outside = join(place, 'outside');
    mkdirSync(outside);
    mkdirSync(inside('workspace/target'));
    symlinkSync(outside, inside('workspace/link'));
    const swapper = spawn('python3', [join(import.meta.dirname, '../../fixtures/swap.py'), inside('workspace/target'), inside('workspace/link')], {
      stdio: 'ignore',
    });
    try {
      for (let turn = 0; turn < 500; turn++) thrown({ path: `target/deep${turn}/file`, content: 'sandbox' });
    } finally {
      swapper.kill('SIGKILL');
    }
    expect(readdirSync(outside)).toEqual([]);
  });

  test('that is a file and a link by turns is written, here or where the link leads, and no descriptor stays open', () => {
    writeFileSync(inside('workspace/file'), '');
    writeFileSync(inside('workspace/target'), '');
    symlinkSync('target', inside('workspace/link'));
    const swapper = spawn('python3', [join(import.meta.dirname, '../../fixtures/swap.py'), inside('workspace/file'), inside('workspace/link')], {
      stdio: 'ignore',
    });
    const open = readdirSync('/proc/self/fd').length;
    try {
      const outcomes = new Set<string>();
      for (let turn = 0; turn < 4000; turn++) outcomes.add(thrown({ path: 'file', content: `${turn}` }));
      expect([...outcomes]).toEqual(['nothing thrown']);
      expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(open);
    } finally {
      swapper.kill('SIGKILL');
    }
  });
});

describe('what cannot be written is told and stays as it is', () => {
  test('a directory, a fifo, a path through a file, a circle of links', () => {
    execFileSync('mkfifo', [inside('workspace/fifo')]);
    writeFileSync(inside('workspace/file'), 'old');
    symlinkSync('circle', inside('workspace/circle'));
    for (const path of ['/workspace', '/', 'fifo', 'file/below', 'circle', '/proc/x', '/sys/x', '/dev/null'])
      expect([path, thrown({ path, content: 'new' })]).toEqual([path, 'PATH_REFUSED']);
    expect(readFileSync(inside('workspace/file'), 'utf8')).toBe('old');
    expect(statSync(inside('workspace/fifo')).isFIFO()).toBe(true);
  });

  test('another content than expected', () => {
    writeFileSync(inside('workspace/file'), 'old');
    const sha256 = createHash('sha256').update('old').digest('hex').toUpperCase();
    expect(thrown({ path: 'file', content: 'new', expected_sha256: '0'.repeat(64) })).toBe('WRITE_CONFLICT');
    expect(thrown({ path: 'missing', content: 'new', expected_sha256: sha256 })).toBe('WRITE_CONFLICT');
    expect(readFileSync(inside('workspace/file'), 'utf8')).toBe('old');
    expect(write({ path: 'file', content: 'new', expected_sha256: sha256 }).created).toBe(false);
  });

  test('edits of nothing, of bytes, of too much', () => {
    writeFileSync(inside('workspace/bytes'), Buffer.of(0, 255));
    writeFileSync(inside('workspace/large'), Buffer.alloc(10_000_001, 'x'));
    const edits = [{ old_text: 'x', new_text: 'y' }];
    expect(['missing', 'bytes', 'large'].map((path) => thrown({ path, edits }))).toEqual(['PATH_NOT_FOUND', 'NOT_TEXT', 'LIMIT_EXCEEDED']);
  });

  test('leaves no temporary file behind', () => {
    mkdirSync(inside('workspace/directory'));
    thrown({ path: 'directory', content: 'x' });
    chmodSync(inside('workspace/directory'), 0o755);
    expect(readdirSync(inside('workspace'))).toEqual(['directory']);
  });
});

describe('edits', () => {
  const edit = (text: string, ...edits: [string, string, boolean?][]): string =>
    applyEdits(
      text,
      edits.map(([old_text, new_text, replace_all = false]) => ({ old_text, new_text, replace_all })),
      '"f"',
    );

  test('are applied in order, the later to what the earlier made', () => {
    expect(edit('one two', ['one', 'three'], ['three two', 'done'])).toBe('done');
  });

  test('take texts as they are: nothing in them is a pattern', () => {
    expect(edit('a.b a+b', ['a.b', '$&$1'])).toBe('$&$1 a+b');
    expect(edit('x x', ['x', '$&', true])).toBe('$& $&');
  });

  test('that could be meant twice are refused with both lines', () => {
    expect(() => edit('a\nb\na\n', ['a', 'c'])).toThrow('lines 1 and 3');
    expect(() => edit('aaa', ['aa', 'b'])).toThrow('more than once');
  });

  test('that match nothing show the nearest line', () => {
    expect(() => edit('def  main( x ):\n  pass\n', ['def main(x):', 'def f():'])).toThrow('the nearest is line 1: "def  main( x ):"');
    expect(() => edit('nothing alike\n', ['#####', ''])).toThrow(/not in the file$/);
  });

  test('of any text give what replacing by hand gives', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), fc.string(), fc.string(), (before, old, after, replacement) => {
        const text = before + old + after;
        fc.pre(text.indexOf(old) === text.lastIndexOf(old) && text.indexOf(old) === before.length);
        expect(edit(text, [old, replacement])).toBe(before + replacement + after);
      }),
    );
  });
});
