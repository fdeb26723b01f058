import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { createNarrator } from '../../src/cli/narrator.ts';

const screen = (isTTY: boolean) => {
  const chunks: string[] = [];
  const stream = new Writable({ write: (chunk, _, done) => (chunks.push(String(chunk)), done()) });
  return { out: Object.assign(stream, { isTTY }), text: () => chunks.join('') };
};

it.each([
  ['a terminal', true, {}, true],
  ['a terminal with NO_COLOR', true, { NO_COLOR: '1' }, false],
  ['a terminal whose NO_COLOR is empty', true, { NO_COLOR: '' }, true],
  ['a dumb terminal', true, { TERM: 'dumb' }, false],
  ['a file', false, {}, false],
])('%s: colours %s', (_, isTTY, env, colours) => {
  const { out, text } = screen(isTTY);
  createNarrator(out, env).claim(true, 'it holds');
  expect(text().includes('\u001b[')).toBe(colours);
  expect(text()).toContain('it holds\n');
});

it('nothing that comes back steers the terminal', () => {
  const { out, text } = screen(true);
  const tell = createNarrator(out, { NO_COLOR: '1' });
  tell.answer('\u001b]0;title\u0007\u001b[2Jred\u001b[31m\r\u0000\u009bHidden\tend');
  tell.claim(true, '\u001b[8minvisible');
  expect(text()).toMatch(/^[\P{Cc}\n\t]*$/u);
  expect(text()).toContain('invisible');
});

it('an answer is cut to its first lines, and says so', () => {
  const { out, text } = screen(false);
  createNarrator(out, {}).answer(`1\n2\n${'3'.repeat(400)}\n4\n5\n`, 3);
  expect(text().split('\n')).toEqual(['     │ 1', '     │ 2', expect.stringMatching(/^ {5}│ 3{149}…$/), '     │ … 2 more lines', '']);
});

it('claims that do not hold are kept, and look like it', () => {
  const { out, text } = screen(false);
  const tell = createNarrator(out, {});
  tell.claim(true, 'one');
  tell.claim(false, 'two');
  expect([tell.told, tell.failed]).toEqual([['one', 'two'], ['two']]);
  expect(text()).toBe('   ✓ one\n   ✗ NOT TRUE: two\n');
});
