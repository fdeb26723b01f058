import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBox } from '../e2e/harness/box.ts';
import { runCellwall } from '../e2e/harness/command.ts';
import { makeDirectory, makeHome, own, type Home } from '../e2e/harness/home.ts';
import { mode, user } from '../e2e/harness/mode.ts';
import { startServer } from '../e2e/harness/server.ts';
import { makePolicies, sections } from '../e2e/harness/trusted.ts';

const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n';

/** A project with secrets by name and by content, a link out, a pipe, names of every kind, a directory that nobody may read. */
const makeProject = (): string => {
  const directory = makeDirectory('project', (path) => {
    for (const folder of ['src/deep', 'lib', '.ssh', 'closed', '.git']) mkdirSync(join(path, folder), { recursive: true });
    const files = {
      'src/a': 'a'.repeat(3000),
      'src/deep/b': 'b'.repeat(90_000),
      'lib/c': 'c',
      README: 'x',
      '.env': 'SECRET=1',
      '.ssh/config': 'x',
      'dump.sql': 'x',
    };
    for (const [name, content] of Object.entries({ ...files, 'lib/looks harmless': KEY, '.npmrc': '//registry/:_authToken=abc\n' }))
      writeFileSync(join(path, name), content);
    writeFileSync(join(path, '.git/config'), '[remote "o"]\n\turl = https://me:password@example.com/x\n');
    symlinkSync('/etc/passwd', join(path, 'out'));
    execFileSync('mkfifo', [join(path, 'pipe')]);
  });
  for (const name of ['b\xffytes', 'new\nline.key', '\x1b[31mred']) {
    const place = Buffer.from(`${directory}/${name}`, 'latin1');
    writeFileSync(place, name.endsWith('key') ? KEY : 'x');
  }
  execFileSync('chown', ['-Rh', `${user.uid}:${user.gid}`, directory]);
  if (process.getuid!() === 0 && mode === 'user') execFileSync('chown', ['0:0', join(directory, 'closed')]);
  execFileSync('chmod', ['700', join(directory, 'closed')]);
  return directory;
};

const look = async (home: Home, ...args: readonly string[]) => {
  const { code, stdout, stderr } = await runCellwall(['context', ...args], { home });
  return { code, stdout: String(stdout), stderr };
};

interface Preview {
  readonly files: number;
  readonly bytes: number;
  readonly digest: string;
  readonly directories: number;
  readonly largest: { path: string; bytes: number }[];
  readonly skipped: { path: string; reason: string }[];
  readonly skipped_count: number;
}

describe(`cellwall context ls, as ${mode}`, () => {
  it('tells what sandbox_create then does: files, bytes, digest, and all that is left out and why; and copies nothing', async () => {
    const [context, home] = [makeProject(), makeHome()];
    const args = ['--context', context, '--policies', makePolicies({ mine: sections({ context: { exclude: ['*.sql'], include: ['.env'] } }) })];
    for (const policy of ['offline', 'mine']) {
      const { code, stdout, stderr } = await look(home, 'ls', ...args, '--json', '--policy', policy);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      if (policy === 'offline') expect(existsSync(join(home.cacheDir, 'snapshots'))).toBe(false);
      const { files, bytes, digest, skipped, skipped_count, ...others } = JSON.parse(stdout) as Preview;
      const server = await startServer({ home, args });
      const created = (await createBox(server, { policy })).created['context'] as Preview;
      expect({ files, bytes, digest, skipped_count }).toEqual({
        files: created.files,
        bytes: created.bytes,
        digest: created.digest,
        skipped_count: created.skipped_count,
      });
      expect(new Set(skipped.map((one) => JSON.stringify(one)))).toEqual(new Set(created.skipped.map((one) => JSON.stringify(one))));
      expect(others).toMatchObject({
        context,
        policy,
        directories: mode === 'user' && process.getuid!() === 0 ? 4 : 5,
        largest: expect.arrayContaining([{ path: 'src/deep', bytes: 90_000 }]) as unknown,
      });
      const reasons = Object.fromEntries(skipped.map(({ path, reason }) => [path, reason]));
      expect(reasons).toMatchObject({
        'lib/looks harmless': 'secret',
        '"new\\nline.key"': 'secret',
        '.npmrc': 'secret',
        pipe: 'fifo',
        out: 'link out of the context',
      });
      expect([reasons['.env'], reasons['dump.sql']]).toEqual(policy === 'mine' ? [undefined, 'excluded by the policy'] : ['secret', undefined]);
    }
  });

  it('tells people the same, a line each, and no name of a file does anything to their terminal', async () => {
    const context = makeProject();
    const { code, stdout } = await look(makeHome(), 'ls', context, '--allow-root', context);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\/.*, by the policy "offline"\ncopied: 8 files in \d directories, [\d.]+ KiB\nmost of it:\n {2}87.9 KiB {2}src\/deep\n/);
    expect(stdout).toContain('\n  secret                   "new\\nline.key"\n');
    expect(stdout).toContain('\n  fifo                     pipe\n');
    expect(stdout).not.toMatch(/[^\n -~]/);
  });

  it('refuses what a create would refuse, in a line on stderr, with exit code 1', async () => {
    const home = makeHome();
    const [context, other] = [makeProject(), makeDirectory('other')];
    const policies = makePolicies({ tiny: sections({ context: { max_files: 3 } }) });
    own(join(home.directory, '.config'));
    const store = own(join(home.cacheDir, 'snapshots'));
    const refusals: [string[], RegExp][] = [
      [['ls', other, '--context', context], /is refused: it lies outside the allowed roots\nhint: /],
      [['ls', `${context}/none`, '--context', context], /was not found/],
      [['ls', `${context}/README`, '--context', context], /was not found/],
      [['ls', '.config', '--allow-root', home.directory], /is refused: it lies in a directory that holds secrets/],
      [['ls', '--context', context, '--policies', policies, '--policy', 'tiny'], /the context is too large: it holds more than the 3 .*\nhint: /],
      [['ls', store, '--allow-root', store], /is refused: it lies where snapshots/],
      [['ls', '--context', context, '--policy', 'none'], /policy "none" is unknown/],
      [['ls'], /no directory/],
      [['ls', 'a', 'b'], /expected one directory/],
      [[], /expected \[options\] ls \[DIR\]/],
      [['rm', context], /expected \[options\] ls \[DIR\]/],
      [['ls', '--tty'], /unknown option/],
    ];
    for (const [args, words] of refusals) {
      const { code, stdout, stderr } = await look(home, ...args);
      expect({ code, stdout, stderr }, args.join(' ')).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(words) });
      expect(stderr.split('\n').length, stderr).toBeLessThan(5);
    }
  });

  it('leaves the store of snapshots out of a context that holds it', async () => {
    const home = makeHome();
    const store = own(join(home.cacheDir, 'snapshots'));
    writeFileSync(join(store, 'file'), 'x');
    const { stdout } = await look(home, 'ls', '--json', '--context', home.cacheDir);
    expect(JSON.parse(stdout)).toMatchObject({ skipped: [{ path: 'snapshots', reason: 'snapshots of contexts' }] });
  });
});
