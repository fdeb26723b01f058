/** What a policy leaves out of a context or asks for, together with the secrets that are always left out. Pure. */
import ignore from 'ignore';
import { byteStringOf, splitName, type ByteString } from '../names.ts';
import { isSecretContent, isSecretName } from './secrets.ts';

/** What a policy says about the copying of a context. */
export interface ContextRules {
  /** lines of gitignore syntax, from the context's top */
  readonly exclude: readonly string[];
  /** exact paths within the context that are copied although they are secrets */
  readonly include: readonly string[];
  /** most files and links, and most directories, that are copied */
  readonly maxFiles: number;
  /** most content in `bytes` */
  readonly maxBytes: number;
}

/** Why something of a context is not copied. */
export type Reason =
  | 'secret'
  | 'excluded by the policy'
  | 'link out of the context'
  | 'mount point'
  | 'unreadable'
  | 'fifo'
  | 'socket'
  | 'device'
  | 'path too long'
  | 'git configuration too large to remove credentials from';

export interface Judge {
  /** Why a path is left out for its name; null when it is copied. */
  byName(path: ByteString, isDirectory: boolean): Reason | null;
  /** Whether a file is left out for what it holds; `content` is its beginning. */
  byContent(path: ByteString, content: Buffer): Reason | null;
  /** Whether the policy asks for exactly this path, as it is. */
  isIncluded(path: ByteString): boolean;
}

/** The rules of a policy as one judge. An exclusion holds against everything, an inclusion only against the secrets. */
export const judgeOf = (rules: Pick<ContextRules, 'exclude' | 'include'>): Judge => {
  // Patterns and paths both as byte strings: `?` is one byte, as it is for git.
  const excluded = ignore({ ignorecase: false }).add(rules.exclude.map(byteStringOf));
  const included = rules.include.map((path) => byteStringOf(path).replace(/^(?:\.?\/)+|\/+$/g, ''));
  const isIncluded = (path: ByteString): boolean => included.includes(path);
  const leadsToIncluded = (path: ByteString): boolean => included.some((wanted) => wanted.startsWith(`${path}/`));
  const isSecret = (path: ByteString, isDirectory: boolean): boolean =>
    !isIncluded(path) && (isSecretName(path, isDirectory) || (included.length > 0 && isBelowSecret(path)));

  // A secret directory is entered only on the way to an included path: what else it holds stays a secret.
  const isBelowSecret = (path: ByteString): boolean => {
    for (let { folder } = splitName(path); folder !== ''; { folder } = splitName(folder)) {
      if (isIncluded(folder)) return false;
      if (isSecretName(folder, true)) return true;
    }
    return false;
  };

  return {
    byName: (path, isDirectory) => {
      if (rules.exclude.length > 0 && excluded.ignores(isDirectory ? `${path}/` : path)) return 'excluded by the policy';
      return isSecret(path, isDirectory) && !(isDirectory && leadsToIncluded(path)) ? 'secret' : null;
    },
    byContent: (path, content) => (isSecretContent(path, content) && !isIncluded(path) ? 'secret' : null),
    isIncluded,
  };
};
