import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanGitConfig, isGitConfig } from '../../../src/workspace/context/gitconfig.ts';

const clean = (text: string, isMoved = false) => cleanGitConfig(Buffer.from(text, 'latin1'), { isMoved }).toString('latin1');
const SECRET = 's3cr3t';

describe('the configuration of git', () => {
  it('is told by its place', () => {
    for (const path of [
      '.git/config',
      'sub/.git/config',
      '.git/modules/a/b/config',
      '.git/config.worktree',
      '.git/worktrees/w/config.worktree',
      'mirror.git/config',
    ])
      expect(isGitConfig(path)).toBe(true);
    for (const path of ['config', 'src/config', '.git/configs', '.github/config', 'a/.git/hooks/configure']) expect(isGitConfig(path)).toBe(false);
  });

  it('comes back byte for byte where it holds no credentials', () => {
    const text =
      '[core]\n\tbare = false\r\n; a comment\n[remote "origin"]\n\turl = git@github.com:me/x.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[user]\n\temail = me@example.com\n\tname\n[alias] l = log --format=\\"%h\\" # x\\\n\xe9 = nonsense\n';
    expect(clean(text)).toBe(text);
  });

  it('comes back byte for byte whatever it holds, as long as it holds neither an at sign nor a word for a secret', () => {
    const piece = fc.constantFrom('[', ']', '"', '\\', '\n', '\r\n', '#', ';', '=', ' ', '\t', 'key', 'url', 'https://host/x', 'section', '\xff', '-', '!');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        expect(clean(pieces.join(''))).toBe(pieces.join(''));
      }),
    );
  });

  it.each([
    ['https://user:s3cr3t@example.com/x.git', 'https://example.com/x.git'],
    ['https://s3cr3t@example.com/x.git', 'https://example.com/x.git'],
    ['https://me@corp.com:s3cr3t@example.com/x', 'https://example.com/x'],
    ['http://user:s3cr3t@[::1]:8080/x', 'http://[::1]:8080/x'],
    ['ssh://git:s3cr3t@example.com/x', 'ssh://git@example.com/x'],
    ['ssh://git@example.com:22/x', 'ssh://git@example.com:22/x'],
    ['https://example.com/@scope/x', 'https://example.com/@scope/x'],
  ])('keeps the URL %s without its credentials', (url, expected) => {
    expect(clean(`[remote "origin"]\n\turl = ${url}\n\tfetch = x\n`)).toBe(`[remote "origin"]\n\turl = ${expected}\n\tfetch = x\n`);
    expect(clean(`[url "${url}"]\n\tinsteadOf = gh:\n`)).toBe(`[url "${expected}"]\n\tinsteadOf = gh:\n`);
  });

  it('loses a secret however its line is written', () => {
    for (const text of [
      `[remote "o"] url = https://u:${SECRET}@h/x`,
      `[remote "o"]\nurl = "https://u:${SECRET}@h/x"\n`,
      `[remote "o"]\nurl = "https://u:pa ${SECRET}"@h/x\n`,
      `[remote "o"]\nurl = https://u:${SECRET.slice(0, 3)}\\\n${SECRET.slice(3)}@h/x\n`,
      `[remote "o"]\nurl = https://u:${SECRET.slice(0, 3)}\\\r\n${SECRET.slice(3)}@h/x\r\n`,
      `[remote "o"]\nurl = https://u:a\\"${SECRET}@h/x\n`,
      `[remote "o"]\nurl = ht"tps:"//u:${SECRET}@h/x\n`,
      `[remote "o"]\nurl = https://u:${SECRET}#x@h/y\n`,
      `[remote "o"]\nurl = x # once https://u:${SECRET}@h/x \\\nurl = https://u:${SECRET}@h\n`,
      `# url = https://u:${SECRET}@h/x\n;extraheader = AUTHORIZATION: basic ${SECRET}\n`,
      `[http "https://h/"]\n\textraheader = AUTHORIZATION: basic ${SECRET}\n`,
      `[http] extraHeader = "x: ${SECRET}"\n[http "https://u:${SECRET}@h"]\nproxy = http://p:${SECRET}@proxy:1\n`,
      `[credential]\nhelper = "!f() { echo password=${SECRET}; }; f"\n`,
      `[github]\noauth-token = ${SECRET}\n[sendemail]\nsmtpPass = ${SECRET}\n`,
      `[includeIf "hasconfig:remote.*.url:https://u:${SECRET}@h/**"]\npath = x\n`,
      `\xef\xbb\xbf[remote "o"]\nurl = https://u:${SECRET}@h\n`,
      `no section at all https://u:${SECRET}@h/x`,
    ]) {
      const cleaned = clean(text);
      expect(cleaned).not.toContain(SECRET);
      expect(cleaned).not.toContain(SECRET.slice(3));
    }
  });

  it('keeps what stands beside a secret', () => {
    expect(clean('[http "https://h/"] extraheader = x\n[core]\n\tbare = true\n')).toBe('[http "https://h/"] \n[core]\n\tbare = true\n');
    expect(clean('[credential]\n\thelper = store\n\tusername = me\n')).toBe('[credential]\n\thelper = store\n\tusername = me\n');
  });

  it('forgets where its work tree was when it moves', () => {
    const text = '[core]\n\tworktree = ../../../sub\n\tbare = true\n\tfilemode = true\n';
    expect(clean(text)).toBe(text);
    expect(clean(text, true)).toBe('[core]\n\t\n\t\n\tfilemode = true\n');
  });

  it('is read in time that does not explode with its length', () => {
    for (const text of ['a'.repeat(500_000), '[a "'.repeat(100_000), 'a=https://'.repeat(50_000), '\\'.repeat(500_000), `[r]\nurl = ${'x://'.repeat(100_000)}`])
      expect(clean(text)).toBe(text);
  });
});
