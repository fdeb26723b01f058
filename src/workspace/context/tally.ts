/** How much a context holds, directory by directory, so that a refusal can name where it lies. */
import { SandboxError } from '../../errors.ts';
import { shownName, splitName, type ByteString } from '../names.ts';
import type { ContextRules } from './rules.ts';

interface Amount {
  files: number;
  bytes: number;
}

const NAMED_DIRECTORIES = 3;
/** A directory that holds nearly all of another is named in its place. */
const NEARLY_ALL = 0.8;

export class Tally {
  readonly #limits: Pick<ContextRules, 'maxFiles' | 'maxBytes'>;
  readonly #amounts = new Map<ByteString, Amount>();
  #files = 0;
  #bytes = 0;
  #others = 0;

  constructor(limits: Pick<ContextRules, 'maxFiles' | 'maxBytes'>) {
    this.#limits = limits;
  }

  /** Counts a directory; those above it were counted before. Throws CONTEXT_TOO_LARGE when there are too many. */
  countFolder(path: ByteString): void {
    this.#amounts.set(path, { files: 0, bytes: 0 });
    if (this.#amounts.size > this.#limits.maxFiles + 1) throw this.#tooMany('directories');
  }

  /** Counts a file or link in a directory. Throws CONTEXT_TOO_LARGE when there are too many; of bytes only `check` does, when all are known. */
  countFile(folder: ByteString, bytes: number): void {
    const amount = this.#amounts.get(folder)!;
    amount.files++;
    amount.bytes += bytes;
    this.#bytes += bytes;
    if (++this.#files > this.#limits.maxFiles) throw this.#tooMany('files');
  }

  /** Counts what is left out: looking at it is work too. */
  countLeftOut(): void {
    if (++this.#others > this.#limits.maxFiles) throw this.#tooMany('entries that are left out');
  }

  /** Throws CONTEXT_TOO_LARGE when the files hold too much. */
  check(): void {
    if (this.#bytes <= this.#limits.maxBytes) return;
    throw this.#tooLarge(`it holds ${shownSize(this.#bytes)}, more than the ${shownSize(this.#limits.maxBytes)} that are copied`, 'bytes', shownSize);
  }

  #tooMany(what: string): SandboxError {
    return this.#tooLarge(
      `it holds more than the ${shownCount(this.#limits.maxFiles)} ${what} that are copied`,
      'files',
      (count) => `${shownCount(count)} files`,
    );
  }

  #tooLarge(why: string, measure: keyof Amount, shown: (amount: number) => string): SandboxError {
    const largest = this.largest(measure, NAMED_DIRECTORIES).map(([path, amount]) => `${path === '' ? 'its top' : shownName(path)} (${shown(amount)})`);
    return new SandboxError('CONTEXT_TOO_LARGE', `the context is too large: ${why}. Most of what was seen lies in ${largest.join(', ')}`);
  }

  /** The directories at the top that hold most, and what: each followed down as long as one below holds nearly all of it; `''` for what lies at the top itself. */
  largest(measure: keyof Amount, most: number): [ByteString, number][] {
    const totals = new Map([...this.#amounts].map(([path, amount]) => [path, amount[measure]]));
    const children = new Map<ByteString, ByteString[]>();
    for (const path of [...totals.keys()].toReversed()) {
      if (path === '') continue;
      const { folder } = splitName(path);
      totals.set(folder, totals.get(folder)! + totals.get(path)!);
      children.set(folder, [...(children.get(folder) ?? []), path]);
    }
    const heaviest = (paths: ByteString[]): ByteString[] => paths.toSorted((a, b) => totals.get(b)! - totals.get(a)!);
    const followed = (path: ByteString): ByteString => {
      const [below] = heaviest(children.get(path) ?? []);
      return below !== undefined && totals.get(below)! >= NEARLY_ALL * totals.get(path)! ? followed(below) : path;
    };
    const top: [ByteString, number] = ['', this.#amounts.get('')![measure]];
    const found = (children.get('') ?? []).map((path): [ByteString, number] => [followed(path), totals.get(followed(path))!]);
    return [top, ...found]
      .filter(([, amount]) => amount > 0)
      .sort(([, a], [, b]) => b - a)
      .slice(0, most);
  }
}

const shownCount = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ' ');

/** A size for people, in the unit that makes it shortest. */
export const shownSize = (bytes: number): string => {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${Number((bytes / 1024 ** unit).toFixed(1))} ${units[unit]}`;
};
