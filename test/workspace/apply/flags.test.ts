import { describe, expect, it } from 'vitest';
import { reasonOf, type Written } from '../../../src/workspace/apply/flags.ts';

const reason = (path: string, more: Partial<Written> = {}): string | null => reasonOf({ path, isExecutable: false, before: null, after: null, ...more });

describe('T2 what can run code on the host is flagged', () => {
  it.each([
    ['.githooks/pre-commit', 'git hook'],
    ['sub/.husky/pre-push', 'git hook'],
    ['.pre-commit-config.yaml', 'git hook'],
    ['.gitmodules', 'git settings'],
    ['.gitattributes', 'git settings'],
    ['.vscode/tasks.json', 'editor task or setting'],
    ['a/.VSCODE/settings.json', 'editor task or setting'],
    ['x.code-workspace', 'editor task or setting'],
    ['.idea/runConfigurations/x.xml', 'editor task or setting'],
    ['.exrc', 'editor task or setting'],
    ['.devcontainer/devcontainer.json', 'development container'],
    ['.devcontainer.json', 'development container'],
    ['.mcp.json', 'MCP servers of an agent'],
    ['.cursor/mcp.json', 'MCP servers of an agent'],
    ['.claude/settings.json', 'agent settings'],
    ['CLAUDE.md', 'agent instructions'],
    ['AGENTS.md', 'agent instructions'],
    ['.cursorrules', 'agent instructions'],
    ['.envrc', 'run when the directory is entered'],
    ['.github/workflows/ci.yml', 'CI'],
    ['.gitlab-ci.yml', 'CI'],
    ['.circleci/config.yml', 'CI'],
    ['ci/Jenkinsfile', 'CI'],
    ['Makefile', 'build rules'],
    ['GNUmakefile', 'build rules'],
    ['rules.mk', 'build rules'],
    ['justfile', 'build rules'],
    ['CMakeLists.txt', 'build rules'],
    ['build.rs', 'build rules'],
    ['setup.py', 'build rules'],
    ['pyproject.toml', 'build rules'],
    ['conftest.py', 'build rules'],
    ['Dockerfile.dev', 'build rules'],
    ['docker-compose.yml', 'build rules'],
    ['.cargo/config.toml', 'build rules'],
    ['.npmrc', 'package manager settings'],
    ['.bashrc', 'shell start file'],
    ['.zshenv', 'shell start file'],
    ['.profile', 'shell start file'],
    ['dot/.bash_profile', 'shell start file'],
    ['x.service', 'started by the system or an interpreter'],
    ['lib/x.pth', 'started by the system or an interpreter'],
  ])('%s: %s', (path, why) => expect(reason(path)).toBe(why));

  it.each([
    'a',
    'src/main.ts',
    'vscode/tasks.json',
    'docs/makefile-notes.md',
    'mcp.jsonl',
    'claude.ts',
    'env',
    'envrc',
    'package-lock.json',
    'README.md',
    'src/rc.ts',
  ])('%s is not', (path) => expect(reason(path)).toBeNull());

  it('what can be executed is, also where nothing else changed', () => {
    expect(reason('a', { isExecutable: true })).toBe('executable');
    expect(reason('.envrc', { isExecutable: true })).toBe('run when the directory is entered');
  });

  it('a package.json is where its scripts are others, and one that is no JSON', () => {
    const text = (scripts: object, rest = {}): string => JSON.stringify({ ...rest, scripts });
    const flags = (before: string | null, after: string): string | null => reason('sub/package.json', { before, after });
    expect(flags(text({ test: 'a' }), text({ test: 'a' }, { version: '2' }))).toBeNull();
    expect(flags(null, '{}')).toBeNull();
    expect(flags(text({ test: 'a' }), text({ test: 'b' }))).toBe('package scripts');
    expect(flags(null, text({ postinstall: 'x' }))).toBe('package scripts');
    expect(flags(text({ test: 'a' }), '{}')).toBe('package scripts');
    expect(flags(null, '{ "scripts": {"a": "b"} // no JSON')).toBe('package scripts');
  });
});
