/** Which files can run code on the host once they are there, and why. Pure: told from names, modes and, of package.json, what it holds. */
import { posix } from 'node:path';
import type { ByteString } from '../names.ts';

export interface Flag {
  readonly path: ByteString;
  readonly reason: string;
}

/** A file that is written: its mode, and of small files what they held and hold. */
export interface Written {
  readonly path: ByteString;
  readonly isExecutable: boolean;
  /** null: it was not there; of package.json only, elsewhere null */
  readonly before: string | null;
  readonly after: string | null;
}

/** By the whole path, lower case; the first that matches counts. */
const PLACES: readonly (readonly [RegExp, string])[] = [
  [/(^|\/)\.(githooks|husky|git-hooks)\//, 'git hook'],
  [/(^|\/)\.(pre-commit-config|lefthook)(\.[^/]*)?$|(^|\/)lefthook\.[^/]+$/, 'git hook'],
  [/(^|\/)\.git(modules|attributes)$/, 'git settings'],
  [/(^|\/)\.vscode\/|\.code-workspace$/, 'editor task or setting'],
  [/(^|\/)\.(idea|vs|fleet|zed)\/|(^|\/)\.(vimrc|nvimrc|exrc|nvim\.lua|dir-locals\.el|lvimrc)$|(^|\/)\.dir-locals/, 'editor task or setting'],
  [/(^|\/)\.devcontainer(\/|\.json$)/, 'development container'],
  [/(^|\/)\.?mcp\.json$/, 'MCP servers of an agent'],
  [/(^|\/)\.(claude|cursor|codex|gemini|windsurf|continue|roo|kiro|aider[^/]*)(\/|$)/, 'agent settings'],
  [/(^|\/)(claude|agents|gemini)(\.local)?\.md$|(^|\/)\.(cursorrules|windsurfrules|clinerules)$|(^|\/)\.github\/copilot-instructions\.md$/, 'agent instructions'],
  [/(^|\/)\.(envrc|tool-versions|mise\.toml|direnv)$|(^|\/)mise\.toml$/, 'run when the directory is entered'],
  [/(^|\/)\.(github\/(workflows|actions)|gitlab|circleci|buildkite|forgejo|gitea|woodpecker)\//, 'CI'],
  [/(^|\/)(\.gitlab-ci[^/]*\.ya?ml|\.travis\.yml|\.drone\.ya?ml|\.woodpecker\.ya?ml|\.cirrus\.yml|jenkinsfile[^/]*|azure-pipelines[^/]*\.ya?ml|bitbucket-pipelines\.yml|appveyor\.yml|cloudbuild\.ya?ml)$/, 'CI'],
  [/(^|\/)(gnu)?makefile(\.[^/]*)?$|\.mk$|(^|\/)(justfile|\.justfile|rakefile|taskfile\.ya?ml|dodo\.py|sconstruct|build\.ninja)$/, 'build rules'],
  [/(^|\/)(cmakelists\.txt|configure(\.ac)?|meson\.build|build\.rs|setup\.(py|cfg)|conftest\.py|noxfile\.py|tox\.ini|pyproject\.toml|build\.gradle(\.kts)?|settings\.gradle(\.kts)?|pom\.xml|gemfile|.*\.gemspec|binding\.gyp|gruntfile\.[^/]+|gulpfile\.[^/]+|dockerfile[^/]*|(docker-)?compose[^/]*\.ya?ml|vagrantfile)$/, 'build rules'],
  [/(^|\/)\.cargo\/config(\.toml)?$/, 'build rules'],
  [/(^|\/)(\.npmrc|\.yarnrc(\.yml)?|\.pnpmfile\.cjs|\.pypirc|pip\.conf)$/, 'package manager settings'],
  [/(^|\/)\.(bash|zsh|k|c|tc|fish)?(sh)?(rc|env|profile|login|logout|_profile|_login|_logout|_aliases)$|(^|\/)\.(profile|zshenv|zprofile|zlogin|bash_profile|inputrc)$|(^|\/)config\.fish$/, 'shell start file'],
  [/\.(service|timer|desktop)$|(^|\/)(crontab|sitecustomize\.py|usercustomize\.py)$|\.pth$/, 'started by the system or an interpreter'],
]; // prettier-ignore

/** The reason, or null where nothing runs a file by itself. */
export const reasonOf = ({ path, isExecutable, before, after }: Written): string | null => {
  const lower = path.toLowerCase();
  const place = PLACES.find(([pattern]) => pattern.test(lower));
  if (place !== undefined) return place[1];
  if (isPackage(lower) && scriptsOf(before) !== scriptsOf(after)) return 'package scripts';
  return isExecutable ? 'executable' : null;
};

/** Whether what a file holds decides. */
export const isPackage = (path: ByteString): boolean => posix.basename(path.toLowerCase()) === 'package.json';

// What is no JSON counts as other scripts than any.
const scriptsOf = (text: string | null): string => {
  if (text === null) return '{}';
  try {
    const value: unknown = JSON.parse(text);
    const scripts: unknown = typeof value === 'object' && value !== null && 'scripts' in value ? value.scripts : {};
    return JSON.stringify(scripts);
  } catch {
    return text;
  }
};
