/** The configuration: an option wins over its twin in the environment, a twin over the configuration file. Nothing is read from the working directory. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { issuesOf } from './issues.ts';

/** A mistake in the configuration, in one line that names where it is. For stderr, without a stack. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

interface About {
  /** what stands for the value in the help; a switch has none */
  readonly value?: string;
  readonly help: string;
  /** the option's name where it is not the key in kebab-case */
  readonly flag?: string;
  /** whether the value names something in the file system */
  readonly path?: true;
  /** the one value that is a word of its own and no path */
  readonly word?: string;
}

/** What stands for "no directory" where a context may be named. */
export const NO_CONTEXT = 'none';

const about = z.registry<About>();
// A schema of its own for each option: the registry keeps one description a schema.
const path = () => z.string().min(1);
const name = () => z.string().min(1);

/** The table of options: the key in the file; from it the option's and the twin's names; the type; the help. */
const OPTIONS = z.strictObject({
  context: path().exactOptional().register(about, {
    value: 'DIR',
    path: true,
    word: NO_CONTEXT,
    help: 'directory that is copied into a sandbox when its client names none; `none`: no directory',
  }),
  allowRoot: z.array(path()).register(about, { value: 'DIR', path: true, help: 'a further directory in which clients may choose a context (repeatable)' }),
  policy: name().register(about, { value: 'NAME', help: 'policy of a sandbox when its client names none (default: offline)' }),
  policies: path().exactOptional().register(about, { value: 'DIR', path: true, help: 'directory with more policies; it must be writable by nobody else' }),
  floor: path().exactOptional().register(about, { value: 'FILE', path: true, help: 'a policy that no other may exceed' }),
  maxSandboxes: z.int().min(1).max(1000).register(about, { value: 'N', help: 'sandboxes at a time (default: 8)' }),
  stateDir: path().register(about, { value: 'DIR', path: true, help: 'where running sandboxes live (default: $XDG_STATE_HOME/cellwall)' }),
  cacheDir: path().register(about, { value: 'DIR', path: true, help: 'where runsc and copies of contexts are kept (default: $XDG_CACHE_HOME/cellwall)' }),
  toolResults: z
    .enum(['both', 'text', 'structured'])
    .register(about, { value: 'FORM', help: 'form of results over MCP: both, text or structured (default: both)' }),
  dottedNames: z.boolean().register(about, { help: 'advertise tools over MCP as sandbox.exec, not sandbox_exec' }),
  allowApply: z.boolean().register(about, { help: 'let clients write changes back into the context, after asking their user' }),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .register(about, { value: 'LEVEL', help: 'trace, debug, info, warn, error, fatal or silent (default: info, of `run`: warn); the log goes to stderr' }),
  clientProcessId: z.int().min(1).exactOptional().register(about, { value: 'PID', flag: '--clientProcessId', help: 'end when this process is gone' }),
});

/** All settings, with defaults filled in and paths absolute. */
export type Config = Readonly<z.output<typeof OPTIONS>> & {
  /** the runsc to use, from CELLWALL_RUNSC */
  readonly runsc?: string;
};

export type OptionKey = keyof z.output<typeof OPTIONS>;

/** An option as the command line shows it. */
export interface Option {
  readonly key: OptionKey;
  /** `--max-sandboxes` */
  readonly flag: string;
  /** what stands for the value in the help; undefined for a switch */
  readonly value: string | undefined;
  readonly help: string;
  readonly repeatable: boolean;
}

const kebab = (key: string): string => `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
const twinOf = (key: string): string => `CELLWALL_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** Every option but `--config`, in the order of the help. */
export const options: readonly Option[] = Object.entries(OPTIONS.shape).map(([key, schema]) => {
  const { flag = kebab(key), value, help } = about.get(schema)!;
  return { key: key as OptionKey, flag, value, help: `${help} [${twinOf(key)}]`, repeatable: schema instanceof z.ZodArray };
});

/**
 * Puts the configuration together. `given` holds what the command line says, as text by key (`true` for a switch, a list for what is
 * repeatable), and the file to read under `config`; `defaults` go before those that hold for every command. Throws ConfigError.
 */
export const loadConfig = (given: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv, cwd: string, defaults: Partial<Config> = {}): Config => {
  const { config, ...flags } = given;
  const named = typeof config === 'string' ? config : env.CELLWALL_CONFIG || undefined;
  const home = homeDirs(env);
  const layers = [
    {
      policy: 'offline',
      allowRoot: [],
      maxSandboxes: 8,
      toolResults: 'both',
      dottedNames: false,
      allowApply: false,
      logLevel: 'info',
      stateDir: home.state,
      cacheDir: home.cache,
      ...defaults,
    },
    named === undefined ? readFile(join(home.config, 'config.json'), false) : readFile(resolve(cwd, named), true),
    checked(fromText(twins(env)), cwd, (key) => twinOf(key)),
    checked(fromText(flags), cwd, (key) => options.find((option) => option.key === key)?.flag ?? key),
  ];
  const settings = OPTIONS.parse(Object.assign({}, ...layers));
  return { ...settings, ...(env.CELLWALL_RUNSC ? { runsc: env.CELLWALL_RUNSC } : {}) };
};

// XDG Base Directory: a variable that is empty or relative counts as unset.
const homeDirs = (env: NodeJS.ProcessEnv): Record<'config' | 'state' | 'cache', string> => {
  const base = (variable: string | undefined, otherwise: string): string =>
    join(variable !== undefined && isAbsolute(variable) ? variable : join(env.HOME || homedir(), otherwise), 'cellwall');
  return { config: base(env.XDG_CONFIG_HOME, '.config'), state: base(env.XDG_STATE_HOME, '.local/state'), cache: base(env.XDG_CACHE_HOME, '.cache') };
};

type Layer = Record<string, unknown>;

// The settings of a file; its relative paths start at its own directory. One that nobody named need not exist.
const readFile = (file: string, isNamed: boolean): Layer => {
  const text = readText(file, isNamed);
  if (text === null) return {};
  return checked(parseObject(text, file), dirname(file), (key) => `${file}: ${key}`);
};

const readText = (file: string, isNamed: boolean): string | null => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT' && !isNamed) return null;
    throw new ConfigError(`${file}: the configuration file cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}`);
  }
};

const parseObject = (text: string, file: string): Layer => {
  const value = parseJson(text, file);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError(`${file}: the configuration file is not a JSON object`);
  return { ...value };
};

const parseJson = (text: string, file: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${file}: the configuration file is not JSON: ${error instanceof Error ? oneLine(error.message) : 'it cannot be parsed'}`);
  }
};

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

const twins = (env: NodeJS.ProcessEnv): Layer => Object.fromEntries(options.flatMap(({ key }) => (env[twinOf(key)] ? [[key, env[twinOf(key)]]] : [])));

// What is text on the command line and in the environment, as the types of the table; what does not fit is left for the check to refuse.
const fromText = (layer: Layer): Layer => Object.fromEntries(Object.entries(layer).map(([key, text]) => [key, valueOf(key, text)]));

const valueOf = (key: string, text: unknown): unknown => {
  if (typeof text !== 'string') return text;
  const schema: unknown = Reflect.get(OPTIONS.shape, key);
  const type = schema instanceof z.ZodExactOptional ? schema.unwrap() : schema;
  if (type instanceof z.ZodArray) return text.split(':').filter((part) => part !== '');
  if (type instanceof z.ZodNumber) return /^\d+$/.test(text) ? Number(text) : text;
  if (type instanceof z.ZodBoolean) return { 1: true, true: true, 0: false, false: false }[text] ?? text;
  return text;
};

// Checks each setting by itself, so that a mistake can be named by where it was made, and makes paths absolute.
const checked = (layer: Layer, base: string, nameOf: (key: string) => string): Layer =>
  Object.fromEntries(
    Object.entries(layer).map(([key, value]) => {
      const schema = Object.hasOwn(OPTIONS.shape, key) ? OPTIONS.shape[key as OptionKey] : undefined;
      if (schema === undefined) throw new ConfigError(`${nameOf(key)}: there is no such setting; there are ${Object.keys(OPTIONS.shape).join(', ')}`);
      const parsed = z.strictObject({ [key]: schema }).safeParse({ [key]: value });
      if (!parsed.success) throw new ConfigError(`${nameOf(key)}: ${issuesOf(parsed.error, { [key]: value })[0]?.message}`);
      const { path: isPath, word } = about.get(schema)!;
      return [key, isPath && value !== word ? absolute(value, base) : value];
    }),
  );

const absolute = (value: unknown, base: string): unknown =>
  Array.isArray(value) ? value.map((one) => resolve(base, String(one))) : resolve(base, String(value));
