import { chmodSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filePatch, type GitMode, type Side } from '../../../src/workspace/diff/filepatch.ts';
import { Pace } from '../../../src/workspace/pace.ts';
import { itWith } from '../../requirements.ts';
import { gitApply, gitTree } from '../gits.ts';
import { linkTo, makeTree, newDirectory, type Tree } from '../trees.ts';

const pace = () => new Pace(new AbortController().signal);
const side = (content: string, mode: GitMode = '100644'): Side => ({ mode, content: Buffer.from(content, 'latin1') });
const patch = (path: string, before: Side | null, after: Side | null) => filePatch(path, before, after, 10_000_000, pace());

describe('a patch', () => {
  it('says what git would say', async () => {
    expect(await patch('a b', side('one\ntwo\n'), side('one\ntwo', '100755'))).toBe(
      'diff --git a/a b b/a b\nold mode 100644\nnew mode 100755\n--- a/a b\t\n+++ b/a b\t\n@@ -1,2 +1,2 @@\n one\n-two\n+two\n\\ No newline at end of file\n',
    );
    expect(await patch('n', null, side(''))).toBe('diff --git a/n b/n\nnew file mode 100644\n');
    expect(await patch('l', side('x', '120000'), null)).toBe(
      'diff --git a/l b/l\ndeleted file mode 120000\n--- a/l\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n\\ No newline at end of file\n',
    );
    expect(await patch('a"\n\xff', side('x', '100644'), side('x', '100755'))).toBe(
      'diff --git "a/a\\"\\n\\377" "b/a\\"\\n\\377"\nold mode 100644\nnew mode 100755\n',
    );
    expect(await patch('same', side('x'), side('x'))).toBe('');
  });

  it('keeps hunks apart whose surroundings do not touch', async () => {
    const lines = Array.from({ length: 30 }, (_, index) => `${index}\n`);
    const changed = lines.with(3, 'x\n').with(10, 'y\n').with(18, 'z\n');
    const text = (await patch('f', side(lines.join('')), side(changed.join(''))))!;
    expect(text.match(/^@@.*$/gm)).toEqual(['@@ -1,14 +1,14 @@', '@@ -16,7 +16,7 @@']);
  });

  it('is refused for a text of too many lines', async () => {
    expect(await patch('f', null, side('\n'.repeat(300_001)))).toBeNull();
    expect(await patch('f', null, side('\n'.repeat(299_999)))).toHaveLength(600_081);
  });

  it('is never longer than it may be, whether of text or of bytes', async () => {
    for (const content of ['text\n'.repeat(20), `a\n${'x'.repeat(500)}\n`, '\0\xff\x80\x90']) {
      const whole = (await patch('f', null, side(content)))!;
      expect(await filePatch('f', null, side(content), whole.length, pace())).toBe(whole);
      for (let most = 0; most < whole.length; most++) expect(await filePatch('f', null, side(content), most, pace())).toBeNull();
    }
  });
});

const texts = fc.array(
  fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'd\r\n', '\r', 'x', '\xc3\xbc\n', '\x1b[1m\n', '@@ -1 +1 @@\n', '-- x\n', '\\ No newline\n'),
  { maxLength: 30 },
);
const contents = fc.oneof(
  { weight: 4, arbitrary: texts.map((parts) => parts.join('')) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }).map((text) => Buffer.from(text).toString('latin1')) },
);
const files = contents.chain((content) => fc.constantFrom<GitMode>('100644', '100755').map((mode) => side(content, mode)));
const links = fc.constantFrom('a', '/x/y', '\xff\xfe', 'a\nb').map((target) => side(target, '120000'));
const sides = fc.option(fc.oneof({ weight: 5, arbitrary: files }, { weight: 1, arbitrary: links }));
const names = fc.constantFrom('f', 'sp ace', '"q"', 'b\\s', '\xff', 'new\nline', '\xc3\xbc', 'x b/x', 'a/b/c', ' lead', 'trail ', '-', '# x');

const plant = (name: string, what: Side | null): string => {
  const parts = name.split('/');
  const leaf = what === null ? null : what.mode === '120000' ? linkTo(what.content.toString('latin1')) : what.content;
  const top = newDirectory();
  if (leaf === null) return top;
  makeTree(parts.reduceRight<Tree | typeof leaf>((inner, part) => ({ [part]: inner }), leaf) as Tree, top);
  if (what?.mode === '100755') chmodSync(Buffer.from(`${top}/${name}`, 'latin1'), 0o755);
  return top;
};

itWith(['git'], 'what a patch says is what git makes of it, for any two contents', async () => {
  await fc.assert(
    fc.asyncProperty(names, sides, sides, async (name, before, after) => {
      fc.pre(before !== null || after !== null);
      const isOtherType = before !== null && after !== null && (before.mode === '120000') !== (after.mode === '120000');
      const steps = isOtherType ? [await patch(name, before, null), await patch(name, null, after)] : [await patch(name, before, after)];
      const text = steps.join('');
      const directory = plant(name, before);
      if (text !== '') expect(gitApply(directory, text), text).toBeNull();
      expect(gitTree(directory)).toEqual(gitTree(plant(name, after)));
    }),
    { numRuns: 150 },
  );
});
