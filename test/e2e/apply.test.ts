import { spawnSync } from 'node:child_process';
import { appendFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SandboxCreate } from '../../src/protocol.ts';
import { SandboxApply, type ParamsOf } from '../../src/protocol.ts';
import { give } from '../requirements.ts';
import { gitTree } from '../workspace/gits.ts';
import { PROJECT } from '../workspace/operations.ts';
import { makeTree } from '../workspace/trees.ts';
import { createBox, type Box } from './harness/box.ts';
import type { ClientKind } from './harness/client.ts';
import { startFramedServer } from './harness/framed.ts';
import { makeDirectory } from './harness/home.ts';
import { mode, ordinaryUser, user } from './harness/mode.ts';
import { expectNothingOfTheHost, refused } from './harness/refusals.ts';
import { startServer, type Server, type ServerOptions } from './harness/server.ts';

const project = (): string =>
  makeDirectory('project', (directory) => {
    makeTree(PROJECT, directory);
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, '.git/HEAD'), 'ref: refs/heads/main\n');
    writeFileSync(join(directory, '.env'), 'TOKEN=secret\n');
  });

const open = async (options: Omit<ServerOptions, 'args'> = {}): Promise<{ server: Server; box: Box; context: string }> => {
  const context = project();
  const server = await startServer({ args: ['--context', context, '--allow-apply'], ...options });
  return { server, context, box: await createBox(server, {}) };
};

const digestOf = async ({ server, id }: Box, params = {}): Promise<string> =>
  String((await server.call('sandbox_diff', { sandbox_id: id, ...params }))['digest']);
const apply = async (box: Box, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> =>
  box.server.call('sandbox_apply', { sandbox_id: box.id, digest: await digestOf(box), ...params });

const KINDS: readonly ClientKind[] = ['1.x', 'legacy', 'modern'];

describe(`sandbox_apply, as ${mode}`, () => {
  it('is listed only where the operator allows it', async () => {
    const names = async (args: readonly string[]): Promise<readonly string[]> => (await startServer({ args })).toolNames();
    expect(await names([])).not.toContain('sandbox_apply');
    expect(await names(['--allow-apply'])).toContain('sandbox_apply');
  });

  it.each(KINDS)('asks the user of a %s client and writes what they agree to', async (client) => {
    const asked: string[] = [];
    const { box, context } = await open({ client, answer: (message) => (asked.push(message), 'accept') });
    await box.run('echo more >> a; mkdir -p new/dir .vscode; echo x > new/dir/f; echo "{}" > .vscode/tasks.json; rm d/a; chmod 755 b; ln -sf b link; rm -r e');
    const { applied, flagged, undo } = await apply(box);
    expect(applied).toContainEqual({ path: 'new/dir/f', change: 'added' });
    expect(flagged).toEqual([
      { path: '.vscode/tasks.json', reason: 'editor task or setting' },
      { path: 'b', reason: 'executable' },
    ]);
    expect(undo).toMatch(/^[0-9a-z]{16}$/);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toContain('- .vscode/tasks.json: new, CAN RUN CODE on this machine (editor task or setting)\n');
    expect(asked[0]).toContain('\n- d/a: deleted\n');
    const { '.env': _secret, '.git/HEAD': _head, ...host } = gitTree(context);
    expect(host).toEqual(await box.gitTree());
    expect(readFileSync(join(context, '.env'), 'utf8')).toBe('TOKEN=secret\n');
    expect([lstatSync(join(context, 'new/dir/f')).uid, lstatSync(join(context, 'a')).uid]).toEqual([user.uid, user.uid]);
  });

  it.each(KINDS)('writes nothing when the user of a %s client does not agree', async (client) => {
    for (const answer of ['decline', 'cancel'] as const) {
      const { box, context } = await open({ client, answer: () => answer });
      const before = gitTree(context);
      await box.run('echo more >> a');
      const { message, hint } = await refused('APPLY_REFUSED', apply(box));
      expect(message).toContain('did not');
      expect(hint).toContain(`cellwall apply ${box.id}`);
      expect(gitTree(context)).toEqual(before);
    }
  });

  it.each(KINDS)('is refused to a %s client that cannot ask, with what a person can run', async (client) => {
    const { box, context } = await open({ client });
    const before = gitTree(context);
    await box.run('echo more >> a');
    const { message, hint } = await refused('APPLY_REFUSED', apply(box));
    expect(message).toContain('cannot ask');
    expect(hint).toContain(`\`cellwall apply ${box.id}\``);
    expect(gitTree(context)).toEqual(before);
  });

  it('is refused over JSON-RPC, where nobody can be asked', async () => {
    const { connection } = startFramedServer({ args: ['--context', project(), '--allow-apply'] });
    const { sandbox_id } = await connection.sendRequest<{ sandbox_id: string }>('sandbox.create', {} satisfies ParamsOf<typeof SandboxCreate>);
    const error = await connection.sendRequest(SandboxApply, { sandbox_id, digest: '0'.repeat(64) }).then(
      () => expect.fail('it was not refused'),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 1601, data: { code: 'APPLY_REFUSED', hint: expect.stringContaining(`cellwall apply ${sandbox_id}`) as string } });
  });

  it('names what changed on the host meanwhile, and writes nothing', async () => {
    const { box, context, server } = await open({ answer: () => 'accept' });
    await box.run('echo more >> a; echo more >> b');
    appendFileSync(join(context, 'b'), 'mine');
    const before = gitTree(context);
    const { message } = await refused('APPLY_CONFLICT', apply(box));
    expect(message).toMatch(/nothing was written: b: not any more/);
    expectNothingOfTheHost(message, server.home);
    await refused('APPLY_CONFLICT', apply(box, { digest: '0'.repeat(64) }));
    expect(gitTree(context)).toEqual(before);
    expect((await apply(box, { paths: ['a'] }))['applied']).toEqual([{ path: 'a', change: 'modified' }]);
  });

  it('never writes below .git, through a link of the host, or over a secret that was left out', async () => {
    const { box, context } = await open({ answer: () => 'accept' });
    symlinkSync('/tmp', join(context, 'later'));
    const before = gitTree(context);
    await box.run('echo x > .git/HEAD; mkdir .git/hooks later .GIT; echo x > .git/hooks/post-checkout; echo x > later/f; echo x > .env; echo x > .GIT/config');
    const tryOne = async (code: 'APPLY_REFUSED' | 'APPLY_CONFLICT', paths: readonly string[]): Promise<void> =>
      void (await refused(code, apply(box, { paths, digest: await digestOf(box, { paths }) })));
    await tryOne('APPLY_REFUSED', ['.git']);
    await tryOne('APPLY_REFUSED', ['.GIT']);
    await tryOne('APPLY_CONFLICT', ['later']);
    await tryOne('APPLY_CONFLICT', ['.env']);
    expect(gitTree(context)).toEqual(before);
    expect(readdirSync('/tmp')).not.toContain('f');
  });

  it('gives what is new to whom its directory belongs; what is written over stays whose it was where the server can give it away', async ({ skip }) => {
    if (process.getuid!() !== 0) give('only root can make files of others', 'owners', skip);
    const { uid, gid } = ordinaryUser as typeof user;
    const context = project();
    spawnSync('chown', ['-hR', `${uid}:${gid}`, context]);
    spawnSync('chown', ['0:0', join(context, 'b')]);
    const server = await startServer({ args: ['--context', context, '--allow-apply'], answer: () => 'accept' });
    const box = await createBox(server, {});
    await box.run('echo more >> a; echo more >> b; mkdir -p new/dir; echo x > new/dir/f; ln -s a new/l');
    await apply(box);
    const owners = ['a', 'new', 'new/dir', 'new/dir/f', 'new/l', 'b'].map((name) => lstatSync(join(context, name)).uid);
    expect(owners).toEqual([uid, uid, uid, uid, uid, user.uid]);
  });

  it('of a sandbox without a context is refused', async () => {
    const { server } = await open({ answer: () => 'accept' });
    await refused('APPLY_REFUSED', apply(await createBox(server)));
  });
});
