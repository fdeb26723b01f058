import fc from 'fast-check';
import ignore from 'ignore';
import { describe, expect, it } from 'vitest';
import { choicesOf, compileGlob } from '../../../src/workspace/search/globs.ts';
import { addRules, isIgnored, isPlaceIgnored } from '../../../src/workspace/search/ignored.ts';

describe('a glob', () => {
  it.each([
    ['*.ts', ['a.ts', '.ts', 'ä.ts'], ['a.tsx', 'a/b.ts', 'ats']],
    ['a?c', ['abc', 'aéc', 'a🚀c'], ['ac', 'a/c', 'abbc']],
    ['a*c*e', ['ace', 'abcde', 'acce'], ['acd', 'a/ce', 'ac/e']],
    ['src/**/*.ts', ['src/a.ts', 'src/b/c/d.ts'], ['a.ts', 'lib/src/a.ts', 'src/a.js', 'srcx/a.ts']],
    ['**/b', ['b', 'a/b', 'a/a/b'], ['ab', 'a/ab', 'b/a']],
    ['a/**', ['a/b', 'a/b/c'], ['a', 'ab/c']],
    ['a**b', ['ab', 'axb'], ['a/b']],
    ['**', ['a', 'a/b'], []],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x', '/x']],
    ['[!a-c]x', ['dx', '-x'], ['ax', '/x']],
    ['[^]x]y', ['ay'], [']y', 'xy']],
    ['[]x-]', [']', 'x', '-'], ['a']],
    ['[[:digit:][:upper:]]', ['1', 'A'], ['a', '[']],
    [String.raw`\*\[x\\`, [String.raw`*[x\ `.trim()], ['a[x']],
    ['a{b}', ['a{b}'], ['ab']],
  ])('%s', (glob, matching, others) => {
    const matches = compileGlob(glob);
    expect([...matching, ...others].filter((name) => matches(name))).toEqual(matching);
  });

  it('of either case matches either', () => {
    for (const [glob, name] of [
      ['README*', 'readme.md'],
      ['*.JPG', 'a.jpg'],
      ['É', 'é'],
      ['[A-C]', 'b'],
    ] as const) {
      expect(compileGlob(glob, { ignoreCase: true })(name), glob).toBe(true);
      expect(compileGlob(glob)(name), glob).toBe(false);
    }
  });

  it('stands for its choices', () => {
    expect(choicesOf('a.{c,h}')).toEqual(['a.c', 'a.h']);
    expect(choicesOf('{a,b{1,2},}x')).toEqual(['ax', 'b1x', 'b2x', 'x']);
    expect(choicesOf(String.raw`\{a,b[{]`)).toEqual([String.raw`\{a,b[{]`]);
    expect(() => choicesOf('{a')).toThrow('not closed');
    expect(() => choicesOf('{a,b}'.repeat(200))).toThrow('more than');
    expect(() => compileGlob('[a')).toThrow('not closed');
  });

  it('takes no longer for being hostile', () => {
    expect(compileGlob(`${'*a'.repeat(200)}b`)('a'.repeat(255))).toBe(false);
    expect(compileGlob(`${'**/*a'.repeat(100)}b`)('a/a'.repeat(1000))).toBe(false);
  });
});

const name = fc.stringMatching(/^[abc.]{1,3}$/).filter((one) => one !== '.' && one !== '..');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const rule = fc
  .array(fc.constantFrom('a', 'b', 'c', '.', '*', '?', '/', '**/', '/**', '[ab]', '[!a]'), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join(''))
  .filter((line) => !/\/\/|\*\*\*|[^/]\*\*|\*\*[^/]|^[./]+$|^\/\*\*/.test(line));
const line = fc.tuple(fc.constantFrom('', '!'), rule, fc.constantFrom('', '/')).map(([not, text, end]) => `${not}${text.replace(/\/$/, '')}${end}`);

/** Whether a path is ignored, or a directory on the way to it. */
const isHidden = (rules: ReturnType<typeof addRules>, file: string): boolean =>
  file.split('/').some((_, index, names) => isIgnored(rules, `/w/${names.slice(0, index + 1).join('/')}`, index < names.length - 1));

describe('rules of .gitignore', () => {
  it('say what the library says that others use', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), path, (lines, file) => {
        expect(isHidden(addRules(lines.join('\n'), '/w', null), file)).toBe(ignore({ ignorecase: false }).add(lines).ignores(file));
      }),
      { numRuns: 3000 },
    );
  });

  it('may be commented, escaped, taken back, and end in spaces or CR LF', () => {
    const rules = addRules('\xef\xbb\xbf# note\r\n*.log  \r\n!keep.log\n\\#odd\n\\!odd\nspace\\ \n\n   \n[broken\n/top\nin/side\n', '/w', null);
    const ignored = ['a.log', 'b/a.log', '#odd', '!odd', 'space ', 'top', 'in/side'];
    expect([...ignored, 'keep.log', '# note', 'space', 'b/top', 'b/in/side', '[broken'].filter((file) => isHidden(rules, file))).toEqual(ignored);
  });

  it('of a deeper file come first, those above where it says nothing', () => {
    const rules = addRules('!a\nb', '/w/d', addRules('a\nc', '/w', null));
    expect(['a', 'b', 'c', 'e/a', 'x'].filter((file) => isIgnored(rules, `/w/d/${file}`, false))).toEqual(['b', 'c']);
  });

  it('know which places they are about', () => {
    const rules = addRules('*', '/w/venv', addRules('dist/\nout/*\n*.x', '/w', null));
    expect(['/w/dist', '/w/dist/a', '/w/out', '/w/venv', '/w/a.x/b'].filter((place) => isPlaceIgnored(rules, place))).toHaveLength(5);
    expect(['/w/src', '/w/di'].some((place) => isPlaceIgnored(addRules('dist/\nout/*', '/w', null), place))).toBe(false);
  });
});
