import { describe, expect, it } from 'vitest';
import { isSecretContent, isSecretName, secretDirectoriesOf } from '../../../src/workspace/context/secrets.ts';

const left = (paths: string, isDirectory = false) => paths.split(' ').filter((path) => !isSecretName(path, isDirectory));
const kept = (paths: string, isDirectory = false) => paths.split(' ').filter((path) => isSecretName(path, isDirectory));
const isSecret = (path: string, content: string) => isSecretContent(path, Buffer.from(content));

describe('by its name', () => {
  it('a file that programs keep secrets in is left out, wherever it lies and however it is spelt', () => {
    const names =
      '.env .env.local .env.production .envrc .netrc .git-credentials .pgpass .my.cnf .vault-token id_rsa id_ed25519 id_ecdsa store.p12 a.pfx b.jks terraform.tfstate terraform.tfstate.backup';
    expect(left(names)).toEqual([]);
    expect(left(names.replaceAll(/^| /g, ' deep/er/').trim())).toEqual([]);
    expect(left(names.toUpperCase())).toEqual([]);
    expect(left('.docker/config.json .claude/.credentials.json .cargo/credentials .cargo/credentials.toml x/.gem/credentials')).toEqual([]);
  });

  it('a directory that programs keep secrets in is left out as a whole', () => {
    expect(left('.ssh .gnupg .aws .azure .gcloud .kube .config/gcloud .config/gh app/.aws', true)).toEqual([]);
  });

  it('what only looks like one stays', () => {
    expect(
      kept('.env.example .env.sample .env.template .env.dist env .environment id_rsa.pub config.json credentials gcloud docs/.docker/compose.json'),
    ).toEqual([]);
    expect(kept('.claude/settings.json .cargo/config.toml .config/nvim/init.lua src/constructor/toString __proto__/x keys.ts pem.js')).toEqual([]);
    expect(kept('keys.jks.d certs.pfx .docker .config .claude .cargo', true)).toEqual([]);
  });

  it('a branch may be called what it likes', () => {
    expect(kept('.git/refs/heads/id_rsa .git/logs/refs/heads/x.p12 .git/modules/m/refs/heads/.env')).toEqual([]);
    expect(left('.git/id_rsa refs/heads/id_rsa')).toEqual([]);
  });
});

describe('by what it holds', () => {
  it('a private key is left out and what is public stays', () => {
    const block = (kind: string) => `-----BEGIN ${kind}-----\nabc\n-----END ${kind}-----\n`;
    for (const kind of ['PRIVATE KEY', 'RSA PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'PGP PRIVATE KEY BLOCK']) {
      expect(isSecret('server.pem', `${block('CERTIFICATE')}${block(kind)}`)).toBe(true);
      expect(isSecret('deploy', block(kind))).toBe(true);
    }
    for (const kind of ['CERTIFICATE', 'PUBLIC KEY', 'DH PARAMETERS']) expect(isSecret('server.pem', block(kind))).toBe(false);
    expect(isSecret('x.key', block('PUBLIC KEY'))).toBe(false);
    expect(isSecret('deploy.ppk', 'PuTTY-User-Key-File-3: ssh-ed25519\n')).toBe(true);
  });

  it('a key in a dialect that nobody knows is left out for its name', () => {
    expect(isSecret('config/master.key', '0123456789abcdef0123456789abcdef')).toBe(true);
    expect(isSecret('server.pem', '\x30\x82\x04\xa4\x02\x01\x00')).toBe(true);
    expect(isSecret('empty.key', '')).toBe(false);
  });

  it('a text that shows a private key in its middle stays', () => {
    expect(isSecret('README.md', 'Like this:\n-----BEGIN PRIVATE KEY-----\n')).toBe(false);
    expect(isSecret('key', 'home row')).toBe(false);
  });

  it('a JSON file with a private_key is left out', () => {
    expect(isSecret('sa.json', '{"type": "service_account",\n "private_key" : "-----BEGIN"}')).toBe(true);
    expect(isSecret('schema.json', '{"properties": {"private_key": {"type": "string"}, "note": "private_key"}}')).toBe(false);
    expect(isSecret('sa.txt', '{"private_key": "x"}')).toBe(false);
  });

  it.each([
    ['.npmrc', '//registry.example.com/:_authToken=npm_abc', true],
    ['.npmrc', 'registry=https://r.example.com\n_auth = dXNlcjpwYXNz\n', true],
    ['.npmrc', 'registry=https://user:pass@r.example.com/\n', true],
    ['.npmrc', '//registry.example.com/:_authToken=${NPM_TOKEN}\nsave-exact=true\n', false],
    ['.npmrc', '# _authToken=old\n', false],
    ['.yarnrc.yml', 'npmAuthToken: "abc"', true],
    ['.yarnrc.yml', 'npmScopes:\n  x:\n    npmAuthIdent: user:pass', true],
    ['.yarnrc.yml', 'npmAuthToken: "${NPM_TOKEN:-}"\nnodeLinker: node-modules', false],
    ['.pypirc', '[pypi]\nusername = __token__\npassword = pypi-abc\n', true],
    ['.pypirc', '[distutils]\nindex-servers = pypi\n', false],
  ])('%s with %j is left out: %s', (name, content, expected) => {
    expect(isSecret(`sub/${name}`, content)).toBe(expected);
  });

  it('is decided in time that does not explode with what a file holds', () => {
    const size = 500_000;
    expect(isSecret('.npmrc', '\n'.repeat(size))).toBe(false);
    expect(isSecret('.npmrc', `_auth=$${'A'.repeat(size)}`)).toBe(false);
    expect(isSecret('.npmrc', '_auth='.repeat(size / 6))).toBe(true);
    expect(isSecret('.npmrc', 'a://b:'.repeat(size / 6))).toBe(false);
    expect(isSecret('x.json', `"private_key"${' '.repeat(size)}`)).toBe(false);
    expect(isSecret('x.pem', '-----BEGIN '.repeat(size / 11))).toBe(true);
  });
});

describe('a directory of secrets on the host', () => {
  it('is found at and above a path', () => {
    expect(secretDirectoriesOf('/home/me/.ssh')).toEqual(['/home/me/.ssh']);
    expect(secretDirectoriesOf('/srv/.config/gcloud/x/.AWS/y')).toEqual(['/srv/.config/gcloud', '/srv/.config/gcloud/x/.AWS']);
    expect(secretDirectoriesOf('/srv/.docker/x')).toEqual(['/srv/.docker']);
    expect(secretDirectoriesOf('/home/me/ssh/.sshd/aws')).toEqual([]);
  });

  it('is not where worktrees of a project are kept', () => {
    expect(secretDirectoriesOf('/work/app/.claude/worktrees/one/src')).toEqual([]);
    expect(secretDirectoriesOf('/work/app/.claude/worktrees')).toEqual(['/work/app/.claude']);
    expect(secretDirectoriesOf('/work/app/.claude/projects/x')).toEqual(['/work/app/.claude']);
  });
});
