import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SandboxError } from '../../../src/errors.ts';
import { Held, shareMemory } from '../../../src/workspace/search/held.ts';
import { searchTree, Stopped, type SearchJob } from '../../../src/workspace/search/searchtree.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cellwall-search-'));
  mkdirSync(join(root, 'workspace'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (files: Readonly<Record<string, string | Buffer>>): void => {
  for (const [path, content] of Object.entries(files)) {
    const file = join(root, 'workspace', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
};

const search = (params: Partial<SearchJob>, path = '/workspace', memory = shareMemory()) => {
  const [door, fd] = [openSync(root, 'r'), openSync(join(root, path), 'r')];
  const { size, ...stats } = statSync(join(root, path));
  const start = { fd, size, isDirectory: (stats.mode & 0o40000) !== 0 };
  const agent = { uid: process.getuid!(), gid: process.getgid!() };
  const none = { pattern: null, glob: null, ignoreCase: false, contextLines: 0, limit: 200, maxBytes: 16_000 };
  const descriptors = readdirSync('/proc/self/fd').length;
  try {
    return searchTree({ door, start, place: path, isNamed: path !== '/workspace', agent, ...none, ...params }, memory);
  } finally {
    expect(readdirSync('/proc/self/fd').length, 'descriptors that stay open').toBe(descriptors);
    closeSync(fd);
    closeSync(door);
  }
};

const lines = (params: Partial<SearchJob>, path?: string): string[] =>
  search(params, path).matches.map(({ path: file, line, text }) => `${file}:${line}:${text}`);
const refusal = (params: Partial<SearchJob>): SandboxError => {
  try {
    search(params);
  } catch (error) {
    if (error instanceof SandboxError) return error;
    throw error;
  }
  return expect.fail('it was taken');
};

describe('a search of contents', () => {
  it('gives the lines that match, each once, with their numbers, and their files', () => {
    write({ 'b.txt': 'one two two\nthree\ntwo', 'a/c.txt': 'two\r\n', 'a.txt': 'nothing', empty: '' });
    const found = [
      { path: 'b.txt', line: 1, text: 'one two two' },
      { path: 'b.txt', line: 3, text: 'two' },
      { path: 'a/c.txt', line: 1, text: 'two' },
    ];
    expect(search({ pattern: 'two' })).toEqual({ matches: found, files: ['b.txt', 'a/c.txt'], truncated: false });
    expect(search({ pattern: 'four' })).toEqual({ matches: [], files: [], truncated: false });
    expect(lines({ pattern: '^two$' })).toEqual(['b.txt:3:two', 'a/c.txt:1:two']);
  });

  it('finds what a search of each line by itself finds', () => {
    const text = fc.array(fc.stringMatching(/^[abé \r]{0,6}$/), { maxLength: 8 }).map((parts) => parts.join('\n'));
    const atom = fc.constantFrom(
      'a',
      'b',
      'é',
      '.',
      '[^a]',
      '^',
      '$',
      String.raw`\b`,
      String.raw`\s`,
      String.raw`\w`,
      '(?:a|b)',
      '(a+)+',
      String.raw`\A`,
      String.raw`\z`,
      ' ',
    );
    const pattern = fc.array(fc.tuple(atom, fc.constantFrom('', '', '?')), { minLength: 1, maxLength: 4 }).map((parts) => parts.flat().join(''));
    fc.assert(
      fc.property(
        text,
        pattern.filter((one) => !/[\^$bAz]\?/.test(one)),
        (content, expression) => {
          write({ file: content });
          const model = new RegExp(expression.replaceAll('\\A', '^').replaceAll('\\z', '$'), 'su');
          const all = content.split('\n').map((line) => line.replace(/\r$/, ''));
          const expected = all.flatMap((line, index) =>
            model.test(line) && (index < all.length - 1 || content.at(-1) !== '\n') && content !== '' ? [index + 1] : [],
          );
          expect(search({ pattern: expression }).matches.map(({ line }) => line)).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('does not look at case where that is asked for, beyond ASCII too', () => {
    write({ a: 'Straße ÄRGER\n' });
    expect(lines({ pattern: 'ärger', ignoreCase: true })).toEqual(['a:1:Straße ÄRGER']);
    expect(lines({ pattern: 'ärger' })).toEqual([]);
  });

  it('takes no longer for being hostile', () => {
    write({ a: `${'a'.repeat(200_000)}!\n`, b: `${'a'.repeat(30)}\n`.repeat(2000) });
    for (const pattern of ['(a+)+$', '(a|a)*b', '(a*)*c', '(.*)(.*)(.*)(.*)(.*)x$', '(?:a?){300}a{300}b']) search({ pattern, limit: 1 });
  });

  it('is right about long files and long lines, whatever falls on the seams', () => {
    const content = Array.from({ length: 60_000 }, (_, index) => `line ${index + 1} é`).join('\n');
    write({ long: content, wide: `${'x'.repeat(700_000)}needle${'y'.repeat(700_000)}\nafter\n` });
    expect(lines({ pattern: '(?:line 1|line 30000|line 60000) ' })).toEqual(['long:1:line 1 é', 'long:30000:line 30000 é', 'long:60000:line 60000 é']);
    const [match, after] = search({ pattern: 'needle|after' }).matches;
    expect(match).toMatchObject({ path: 'wide', line: 1, text: expect.stringMatching(/^…x+needley+…$/) as string });
    expect(match!.text).toHaveLength(400);
    expect(after).toEqual({ path: 'wide', line: 2, text: 'after' });
    expect(search({ pattern: '[xy]' }).matches.map(({ line }) => line)).toEqual([1]);
  });

  it('gives the lines around a match, as many as there are, each cut', () => {
    write({ a: `1\n2\n${'x'.repeat(500)}\nfour\n5\n6\n7` });
    const [match] = search({ pattern: 'four', contextLines: 2 }).matches;
    expect(match).toEqual({ path: 'a', line: 4, text: `2\n${'x'.repeat(398)}…\nfour\n5\n6` });
    expect(search({ pattern: '[17]$', contextLines: 3 }).matches.map(({ text }) => text.split('\n').at(0))).toEqual(['1', 'four']);
  });

  it('passes over binary files, also where the NUL is far behind the match', () => {
    write({ early: 'needle\0', late: Buffer.concat([Buffer.from('needle\n'), Buffer.alloc(400_000, 'x\n'), Buffer.from([0])]), text: 'needle' });
    expect(search({ pattern: 'needle' })).toMatchObject({ files: ['text'], matches: [{ path: 'text' }] });
  });

  it('shows bytes that are no text, and names that are none, as reading does', () => {
    write({ [Buffer.from('a\nb').toString()]: Buffer.from([0x6e, 0xff, 0x6e, 0x0a]) });
    expect(search({ pattern: 'n.n' }).matches).toEqual([{ path: '"a\\nb"', line: 1, text: 'n\ufffdn' }]);
  });

  it('says what is wrong with a pattern, and which syntax holds', () => {
    for (const pattern of ['(?<=a)b', '(?=a)', String.raw`(a)\1`, '(', 'a{2000}', '[z-a]', '(?:a{900}b{900}){9}']) {
      const { code, message } = refusal({ pattern });
      expect([pattern, code, message]).toEqual([
        pattern,
        'INVALID_PARAMS',
        expect.stringMatching(/^expected `pattern` to be a regular expression: ./) as string,
      ]);
    }
    expect(refusal({ pattern: '(?!a)' }).hint).toMatch(/RE2: no look-around, no backreferences/);
    expect(refusal({ pattern: 'a\nb' }).hint).toContain('context_lines');
    expect(refusal({ pattern: String.raw`a\nb` }).hint).toContain('context_lines');
    expect(lines({ pattern: String.raw`[^\n]\\n` })).toEqual([]);
    expect(refusal({ glob: '{a' }).message).toBe('expected `glob` to be a pattern for names such as *.ts: a { is not closed');
  });
});

describe('a search of names', () => {
  const files = { 'a.ts': '', 'src/b.ts': 'x', 'src/deep/c.tsx': 'x', 'src/deep/D.TS': '', 'lib/e.js': 'x' };

  it.each([
    ['*.ts', ['a.ts', 'src/b.ts']],
    ['*.{ts,js}', ['a.ts', 'lib/e.js', 'src/b.ts']],
    ['src/**/*.tsx', ['src/deep/c.tsx']],
    ['./src/*.ts', ['src/b.ts']],
    ['/workspace/lib/*', ['lib/e.js']],
    ['/*.ts', ['a.ts']],
    ['src/', ['src/b.ts', 'src/deep/D.TS', 'src/deep/c.tsx']],
    ['!*.ts', ['lib/e.js', 'src/deep/D.TS', 'src/deep/c.tsx']],
  ])('%s', (glob, expected) => {
    write(files);
    expect(search({ glob })).toEqual({ matches: [], files: expected, truncated: false });
  });

  it('goes by the place that is searched too, and by either case', () => {
    write(files);
    expect(search({ glob: 'deep/*' }, '/workspace/src').files).toEqual(['src/deep/D.TS', 'src/deep/c.tsx']);
    expect(search({ glob: 'src/deep/*' }, '/workspace/src').files).toEqual(['src/deep/D.TS', 'src/deep/c.tsx']);
    expect(search({ glob: '*.ts', ignoreCase: true }).files).toEqual(['a.ts', 'src/b.ts', 'src/deep/D.TS']);
  });

  it('chooses the files whose contents are searched', () => {
    write(files);
    expect(search({ glob: '*.tsx', pattern: 'x' })).toMatchObject({ files: ['src/deep/c.tsx'], matches: [{ line: 1 }] });
  });
});

describe('what is passed over', () => {
  it('is .git, and what .gitignore files name, nested ones and info/exclude too', () => {
    write({
      '.gitignore': 'node_modules/\n*.log\n!keep.log\n/build',
      '.git/config': 'x',
      '.git/info/exclude': 'private',
      'sub/.gitignore': '!a.log\nown',
      ...Object.fromEntries(
        ['a', '.hidden', 'a.log', 'keep.log', 'build/a', 'private', 'node_modules/m/i', 'sub/a.log', 'sub/own', 'sub/build/a'].map((name) => [name, 'x']),
      ),
    });
    expect(search({ glob: '**' }).files).toEqual(['.gitignore', '.hidden', 'a', 'keep.log', 'sub/.gitignore', 'sub/a.log', 'sub/build/a']);
  });

  it('is not what `path` names', () => {
    write({
      '.gitignore': 'dist\nout/*\n*.log',
      'dist/a': 'x',
      'dist/b/c': 'x',
      'out/a': 'x',
      '.git/config': 'x',
      'venv/.gitignore': '*',
      'venv/a': 'x',
      'src/a.log': 'x',
      'src/a': 'x',
    });
    const files = (path: string): string[] => search({ pattern: 'x' }, `/workspace/${path}`).files;
    expect([files('dist'), files('dist/b'), files('out'), files('.git'), files('venv')]).toEqual([
      ['dist/a', 'dist/b/c'],
      ['dist/b/c'],
      ['out/a'],
      ['.git/config'],
      ['venv/a'],
    ]);
    expect([files('src'), files('src/a.log')]).toEqual([['src/a'], ['src/a.log']]);
  });

  it('is nothing of a repository inside by what is above it', () => {
    write({ '.gitignore': 'a', 'inner/.git/HEAD': '', 'inner/a': 'x', 'inner/b/a': 'x' });
    expect(search({ glob: 'a' }).files).toEqual(['inner/a', 'inner/b/a']);
    expect(search({ glob: 'a' }, '/workspace/inner/b').files).toEqual(['inner/b/a']);
  });

  it('is what links lead to, pipes, and what `agent` may not read', () => {
    write({ a: 'x', 'secret/b': 'x', c: 'x', 'd/e': 'x' });
    symlinkSync('a', join(root, 'workspace/link'));
    symlinkSync('/', join(root, 'workspace/out'));
    execFileSync('mkfifo', [join(root, 'workspace/pipe')]);
    execFileSync('chmod', ['0640', join(root, 'workspace/c')]);
    execFileSync('chmod', ['0700', join(root, 'workspace/secret')]);
    const [stranger, ours] = [
      { uid: 12345, gid: 12345 },
      { uid: process.getuid!(), gid: process.getgid!() },
    ];
    expect(search({ pattern: 'x', agent: ours }).files).toEqual(['a', 'c', 'd/e', 'secret/b']);
    expect(search({ pattern: 'x', agent: stranger }).files).toEqual(['a', 'd/e']);
  });
});

describe('a search is bounded', () => {
  it('by a number of matches and of bytes, and says that there are more', () => {
    write({ a: 'x\n'.repeat(10), b: 'x\n' });
    expect(search({ pattern: 'x', limit: 10 })).toMatchObject({ files: ['a'], truncated: true });
    expect(search({ pattern: 'x', limit: 11 })).toMatchObject({ files: ['a', 'b'], truncated: false });
    expect(search({ pattern: 'x', maxBytes: 7 }).matches).toHaveLength(3);
    expect(search({ glob: '*', limit: 1 })).toEqual({ matches: [], files: ['a'], truncated: true });
  });

  it('by the wish to stop', () => {
    write({ a: 'x' });
    const memory = shareMemory();
    new Held(memory).stop();
    expect(() => search({ pattern: 'x' }, '/workspace', memory)).toThrow(Stopped);
  });

  it('in what it holds, however deep a tree is, and with a file of a terabyte', () => {
    execFileSync('python3', [
      '-c',
      'import os,sys\nos.chdir(sys.argv[1])\nfor n in range(4000): os.mkdir("d"); os.chdir("d")\nopen("bottom","w").write("needle")',
      join(root, 'workspace'),
    ]);
    write({ sparse: '' });
    truncateSync(join(root, 'workspace/sparse'), 2 ** 40);
    const { matches } = search({ pattern: 'needle', maxBytes: 20_000 });
    execFileSync('rm', ['-rf', join(root, 'workspace')]); // node:fs would need a deeper stack
    expect(matches.map(({ path, line }) => [path.length, line])).toEqual([[8006, 1]]);
  });
});
