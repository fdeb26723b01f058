/** What is a secret in a context: by its name, and by its first bytes where the name is not enough. Pure; names without regard to case. */
import { splitName, type ByteString } from '../names.ts';

/** Directories of a user that hold secrets and nothing else. */
const DIRECTORIES = ['.ssh', '.gnupg', '.aws', '.azure', '.gcloud', '.kube'];
const FILES = ['.env', '.envrc', '.netrc', '.git-credentials', '.pgpass', '.my.cnf', '.vault-token'];
const SSH_KEYS = ['id_rsa', 'id_dsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk', 'id_xmss'];
/** Names that are secrets wherever they are, whatever they are. */
const NAMES = new Set([...DIRECTORIES, ...FILES, ...SSH_KEYS]);
const NAME_PATTERN = /^\.env\.(?!(?:example|sample|template|dist)$)|\.tfstate/;
/** Files that are secrets by their name alone: containers of keys. */
const FILE_PATTERN = /\.(?:p12|pfx|jks)$/;
/** Names that are secrets in one directory only. */
const IN_DIRECTORY = new Map([
  ['.config', /^(?:gcloud|gh)$/],
  ['.docker', /^config\.json$/],
  ['.claude', /^\.credentials\.json$/],
  ['.cargo', /^credentials/],
  ['.gem', /^credentials$/],
]);

/** Whether a path within the context is left out for its name, whatever it holds. */
export const isSecretName = (path: ByteString, isDirectory: boolean): boolean => {
  const { folder, name } = splitName(path.toLowerCase());
  const isNamed = NAMES.has(name) || NAME_PATTERN.test(name) || (!isDirectory && FILE_PATTERN.test(name));
  const isNamedHere = IN_DIRECTORY.get(splitName(folder).name)?.test(name) ?? false;
  return (isNamed || isNamedHere) && !isGitReference(path);
};

// Branches and their logs below a git directory are named by people: `.git/refs/heads/id_rsa` holds no key.
const isGitReference = (path: ByteString): boolean => {
  const at = path.indexOf('.git/');
  return at >= 0 && /\/(?:refs|logs)\//.test(path.slice(at));
};

/** Directories of a host that hold secrets: a context is never one of them, nor anything below. */
const SECRET_DIRECTORIES = new Set([...DIRECTORIES, '.docker', '.claude', '.cargo', '.gem', '.config/gcloud', '.config/gh']);
/** The one place below `.claude` that holds projects: worktrees that Claude Code makes, `.claude/worktrees/<name>`. */
const CLAUDE_WORKTREES = 'worktrees';

/** The secret directories at and above an absolute path, outermost first: each as the path up to and including it. */
export const secretDirectoriesOf = (path: ByteString): ByteString[] => {
  const names = path.split('/');
  const lower = path.toLowerCase().split('/');
  return names.flatMap((_, index) => {
    const isSecret = SECRET_DIRECTORIES.has(lower[index]!) || SECRET_DIRECTORIES.has(`${lower[index - 1]}/${lower[index]}`);
    const isWorktree = lower[index] === '.claude' && names[index + 1] === CLAUDE_WORKTREES && names.length > index + 2;
    return isSecret && !isWorktree ? [names.slice(0, index + 1).join('/')] : [];
  });
};

/** `-----BEGIN … PRIVATE KEY-----` in its dialects: PKCS, OpenSSH, SSH2, PGP. */
const PRIVATE_KEY = /-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/;
const PUBLIC_BLOCK = /-{4,5} ?BEGIN [A-Z0-9 ]{1,60}-{4,5}/;
/** A private key at the very start of a file, whatever its name; `PuTTY-User-Key-File` is PuTTY's. */
const STARTS_WITH_KEY = /^(?:\xef\xbb\xbf)?\s{0,16}(?:-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File)/;
const REFERENCE_TO_ENVIRONMENT = String.raw`["']?\$\{?\w+(?::?-)?\}?["']?\s*$`;
const NPM_TOKEN = new RegExp(String.raw`^[^#;]*_(?:authtoken|auth|password)["']?\s*=\s*(?!${REFERENCE_TO_ENVIRONMENT})\S`, 'i');
const YARN_TOKEN = new RegExp(String.raw`^[^#]*npmauth(?:token|ident)["']?\s*:\s*(?!${REFERENCE_TO_ENVIRONMENT})\S`, 'i');
const PYPI_PASSWORD = /^\s*password\s*[=:]\s*\S/i;
const URL_WITH_PASSWORD = /^[^#;]*:\/\/[^/\s@:]*:(?!\$)[^/\s@]+@/;
const JSON_KEY = /"private_key"\s*:\s*"[^"]/;

type ContentRule = (content: Buffer) => boolean;
const anyLine =
  (...patterns: RegExp[]): ContentRule =>
  (content) =>
    content
      .toString('latin1')
      .split('\n')
      .some((line) => patterns.some((pattern) => pattern.test(line)));

// Named like a key: only what shows itself as public stays, so that a key in a dialect we do not know does not. An empty file hides nothing.
const mayHoldKey: ContentRule = (content) => {
  const text = content.toString('latin1');
  return text !== '' && (!PUBLIC_BLOCK.test(text) || PRIVATE_KEY.test(text));
};

const BY_NAME = new Map([
  ['.npmrc', anyLine(NPM_TOKEN, URL_WITH_PASSWORD)],
  ['.yarnrc.yml', anyLine(YARN_TOKEN, URL_WITH_PASSWORD)],
  ['.pypirc', anyLine(PYPI_PASSWORD, URL_WITH_PASSWORD)],
]);
const BY_EXTENSION = new Map<string, ContentRule>([
  ['.json', (content) => content.includes('"private_key"') && JSON_KEY.test(content.toString('latin1'))],
  ['.pem', mayHoldKey],
  ['.key', mayHoldKey],
]);

/** Whether a file is left out for what it holds; `content` is all of it, or its beginning when it is long. */
export const isSecretContent = (path: ByteString, content: Buffer): boolean => {
  if (STARTS_WITH_KEY.test(content.toString('latin1', 0, 128))) return true;
  const name = splitName(path).name.toLowerCase();
  const rule = BY_NAME.get(name) ?? BY_EXTENSION.get(name.slice(Math.max(0, name.lastIndexOf('.'))));
  return rule?.(content) === true && !isGitReference(path);
};
