/** The host's git, on trees that only tests wrote: what it makes of a patch. */
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Applies a patch in a directory; what git says when it refuses, null when it does not. */
export const gitApply = (directory: string, patch: string, ...options: readonly string[]): string | null => {
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/', GIT_CONFIG_NOSYSTEM: '1', GIT_CEILING_DIRECTORIES: '/tmp' };
  const { status, stderr } = spawnSync('git', ['apply', '--whitespace=nowarn', ...options, '-'], { cwd: directory, input: patch, env, encoding: 'utf8' });
  return status === 0 ? null : stderr;
};

/** What git knows of a tree: each file by whether it can be run and its content, each link by what it says; names one character a byte. */
export const gitTree = (path: string, prefix = ''): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const name of readdirSync(Buffer.from(path, 'latin1'), 'latin1').sort()) {
    const place = Buffer.from(`${path}/${name}`, 'latin1');
    const stats = lstatSync(place);
    if (stats.isDirectory()) Object.assign(found, gitTree(`${path}/${name}`, `${prefix}${name}/`));
    else if (stats.isSymbolicLink()) found[prefix + name] = `link ${readlinkSync(place, 'latin1')}`;
    else if (stats.isFile()) found[prefix + name] = `${(stats.mode & 0o100) === 0 ? 'file' : 'program'} ${readFileSync(place, 'latin1')}`;
  }
  return found;
};
