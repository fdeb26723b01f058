import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildEtc } from '../../src/workspace/etc.ts';

interface Built {
  /** every path of the built directory */
  readonly paths: string[];
  content(path: string): string;
  at(path: string): string;
}

/** Builds an /etc from a root with these files below its own: a path that starts with `@` is a link to its content. */
const build = (files: Readonly<Record<string, string>>, prepare: (root: string) => void = () => {}): Built => {
  const top = mkdtempSync(join(tmpdir(), 'cellwall-etc-'));
  onTestFinished(() => rmSync(top, { recursive: true }));
  const [root, target] = [join(top, 'root'), join(top, 'target')];
  for (const directory of [join(root, 'etc'), target]) mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name.replace('@', ''));
    mkdirSync(join(path, '..'), { recursive: true });
    if (name.startsWith('@')) symlinkSync(content, path);
    else writeFileSync(path, content);
  }
  prepare(root);
  buildEtc(target, root);
  const at = (path: string): string => join(target, path);
  return { paths: readdirSync(target, { recursive: true, encoding: 'utf8' }).toSorted(), at, content: (path) => readFileSync(at(path), 'utf8') };
};

const GENERATED = ['group', 'hostname', 'hosts', 'nsswitch.conf', 'passwd', 'resolv.conf'];
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n';

describe('what is generated', () => {
  it('says who agent is and that there is no network, and nothing of the host', () => {
    const etc = build({
      'etc/passwd': 'somebody:x:1:1::/:/bin/sh\n',
      'etc/hosts': '10.0.0.1 intranet\n',
      'etc/resolv.conf': 'nameserver 10.0.0.1\n',
      'etc/hostname': 'host\n',
    });
    expect(etc.paths).toEqual(GENERATED);
    expect(etc.content('passwd')).toBe(
      'root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
    );
    expect(etc.content('hosts')).toBe('127.0.0.1 localhost cellwall\n::1 localhost ip6-localhost ip6-loopback\n');
    expect(etc.content('hostname')).toBe('cellwall\n');
    expect(etc.content('resolv.conf')).toMatch(/^#[^\n]*\n$/);
    expect(etc.content('nsswitch.conf')).toContain('hosts: files dns\n');
    expect(etc.content('nsswitch.conf')).toContain('passwd: files\n');
  });

  it('agent gets bash where there is one', () => {
    expect(build({ 'bin/bash': '' }).content('passwd')).toContain('agent:x:1000:1000:agent:/home/agent:/bin/bash\n');
  });

  it('is readable by all, whatever the umask', () => {
    const before = process.umask(0o077);
    onTestFinished(() => void process.umask(before));
    const etc = build({ 'etc/ssl/certs/a.pem': CERTIFICATE }, (root) => {
      for (const path of ['', 'etc', 'etc/ssl', 'etc/ssl/certs']) chmodSync(join(root, path), 0o755);
      chmodSync(join(root, 'etc/ssl/certs/a.pem'), 0o644);
    });
    const modes = ['.', 'passwd', 'ssl', 'ssl/certs', 'ssl/certs/a.pem'].map((path) => (lstatSync(etc.at(path)).mode & 0o7777).toString(8));
    expect(modes).toEqual(['755', '644', '755', '755', '644']);
  });
});

describe('what is copied', () => {
  it('is the list of the contract and nothing else', () => {
    const wanted = ['ld.so.cache', 'ld.so.conf', 'mime.types', 'protocols', 'services'];
    const below = [
      'alternatives/x',
      'java-17-openjdk/security/java.security',
      'ld.so.conf.d/x.conf',
      'perl/Net/libnet.cfg',
      'python3.11/sitecustomize.py',
      'python3/x',
      'ssl/openssl.cnf',
    ];
    const others = ['shadow', 'ssh/ssh_config', 'gitconfig', 'ld.so.preload', 'servicesX', 'npmrc', 'sudoers.d/x', 'javax/x'];
    const etc = build(Object.fromEntries([...wanted, ...below, ...others].map((name) => [`etc/${name}`, `${name}\n`])));
    const files = etc.paths.filter((path) => lstatSync(etc.at(path)).isFile());
    expect(files).toEqual([...GENERATED, ...wanted, ...below].toSorted());
    expect(etc.content('java-17-openjdk/security/java.security')).toBe('java-17-openjdk/security/java.security\n');
  });

  it('is no key: not ssl/private, not what others may not read, not a private key that everybody may read', () => {
    const files = {
      'etc/ssl/private/open': 'x',
      'etc/ssl/openssl/private/open': 'x',
      'etc/ssl/certs/group.pem': CERTIFICATE,
      'etc/ssl/closed/x': 'x',
      'etc/ssl/unlisted/x': 'x',
      'etc/ssl/certs/key.pem': KEY,
      'etc/ssl/certs/both.crt': CERTIFICATE + KEY,
      'etc/ssl/certs/store.p12': 'x',
      'etc/ssl/certs/good.pem': CERTIFICATE,
      'etc/perl/id_rsa': 'x',
      'etc/java-17/openssh': KEY.replace('RSA', 'OPENSSH'),
    };
    const etc = build(files, (root) => {
      chmodSync(join(root, 'etc/ssl/certs/group.pem'), 0o640);
      chmodSync(join(root, 'etc/ssl/closed'), 0o754);
      chmodSync(join(root, 'etc/ssl/unlisted'), 0o751);
    });
    expect(etc.paths.filter((path) => lstatSync(etc.at(path)).isFile())).toEqual([...GENERATED, 'ssl/certs/good.pem'].toSorted());
    expect(etc.paths).not.toContain('ssl/private');
  });

  it('has no setuid bit and no right to write, but keeps the right to execute', () => {
    const etc = build({ 'etc/perl/run': '', 'etc/perl/data': '' }, (root) => {
      chmodSync(join(root, 'etc/perl/run'), 0o6777);
      chmodSync(join(root, 'etc/perl/data'), 0o666);
    });
    expect(['perl/run', 'perl/data'].map((path) => lstatSync(etc.at(path)).mode & 0o7777)).toEqual([0o755, 0o644]);
  });

  it('keeps links to places that are there inside, as they are, and no others', () => {
    const kept = {
      'alternatives/java': '/usr/lib/jvm/bin/java',
      'ssl/certs/0a.0': 'good.pem',
      'ssl/certs/up.pem': '../../../usr/share/x.crt',
      'java-17/x': '/etc/java-17/y',
    };
    const left = {
      'alternatives/home': '/home/u/bin/x',
      'alternatives/root': '/',
      'ssl/certs/out': '../../../home/u/key.pem',
      'ssl/certs/var': '/usr/../var/lib/x',
      'perl/p': '/proc/1/environ',
    };
    const etc = build(Object.fromEntries(Object.entries({ ...kept, ...left }).map(([name, target]) => [`@etc/${name}`, target])));
    const links = etc.paths.filter((path) => lstatSync(etc.at(path)).isSymbolicLink());
    expect(Object.fromEntries(links.map((path) => [path, readlinkSync(etc.at(path))]))).toEqual(kept);
  });

  it('is bounded: a huge file and all after it are left out', () => {
    const etc = build({ 'etc/services': '', 'etc/ssl/openssl.cnf': 'x' }, (root) => truncateSync(join(root, 'etc/services'), 2 ** 36));
    expect(etc.paths.filter((path) => path === 'services' || path.startsWith('ssl'))).toEqual([]);
  });

  it('is bounded: after thousands of files, copied or not, nothing more is looked at', () => {
    const etc = build({ '@etc/alternatives/first': '/home/x', 'etc/services': 'x', 'etc/ssl/openssl.cnf': 'x' }, (root) => {
      for (let index = 0; index < 5000; index++) symlinkSync('/home/x', join(root, `etc/alternatives/${index}`));
    });
    expect(etc.paths).toEqual([...GENERATED, 'alternatives', 'services'].toSorted());
  });
});

describe('the time zone', () => {
  it('stays a link where it leads below /usr', () => {
    const etc = build({ '@etc/localtime': '../usr/share/zoneinfo/Etc/UTC' });
    expect(readlinkSync(etc.at('localtime'))).toBe('../usr/share/zoneinfo/Etc/UTC');
  });

  it('becomes the file where it leads elsewhere', () => {
    const etc = build({ '@etc/localtime': 'zone/link', '@etc/zone/link': '../../var/zone', 'var/zone': 'TZif' });
    expect(lstatSync(etc.at('localtime')).isFile()).toBe(true);
    expect(etc.content('localtime')).toBe('TZif');
  });

  it('is left out where it leads out of the root, or to what others may not reach', () => {
    const closed = (root: string): void => chmodSync(join(root, 'var'), 0o750);
    expect(build({ '@etc/localtime': '../var/zone', 'var/zone': 'TZif' }, closed).paths).toEqual(GENERATED);
    const open = (root: string): void => chmodSync(join(root, '..'), 0o755);
    expect(build({ '@etc/localtime': '../../outside', '../outside': 'TZif' }, open).paths).toEqual(GENERATED);
    expect(build({ '@etc/localtime': '/nowhere' }).paths).toEqual(GENERATED);
  });
});

it('an /etc of this machine holds what programs need, and no key', () => {
  const target = mkdtempSync(join(tmpdir(), 'cellwall-etc-'));
  onTestFinished(() => rmSync(target, { recursive: true }));
  buildEtc(target);
  const files = readdirSync(target, { recursive: true, encoding: 'utf8' }).filter((path) => lstatSync(join(target, path)).isFile());
  expect(files).toEqual(expect.arrayContaining(GENERATED));
  expect(files.filter((path) => /private|shadow|\.key$/.test(path) || readFileSync(join(target, path), 'latin1').includes('PRIVATE KEY-----'))).toEqual([]);
});
