/** What a search has found so far, as much of it as is asked for. */
import type { Match } from './lines.ts';

/** The result of `sandbox_search`, in the contract's words. */
export interface SearchResult {
  matches: { path: string; line: number; text: string }[];
  files: string[];
  truncated: boolean;
}

export interface FoundLimits {
  /** most matches, or files where contents are not searched */
  readonly limit: number;
  readonly maxBytes: number;
}

export class Found {
  readonly #limits: FoundLimits;
  #matches: SearchResult['matches'] = [];
  #files: string[] = [];
  #bytes = 0;
  /** whether there is more than what was kept */
  isCut = false;

  constructor(limits: FoundLimits) {
    this.#limits = limits;
  }

  get result(): SearchResult {
    return { matches: this.#matches, files: this.#files, truncated: this.isCut };
  }

  /** Keeps a file that is found by its name. Returns false, here as below, when there is no room: the search is over then. */
  addFile(path: string): boolean {
    if (!this.#hasRoom(this.#files.length, Buffer.byteLength(path))) return false;
    this.#files.push(path);
    return true;
  }

  /** Keeps a match; its file is one of those found. */
  addMatch(path: string, { line, text }: Match): boolean {
    const isFirst = this.#files.at(-1) !== path;
    const size = Buffer.byteLength(path) * (isFirst ? 2 : 1) + Buffer.byteLength(text);
    if (!this.#hasRoom(this.#matches.length, size)) return false;
    if (isFirst) this.#files.push(path);
    this.#matches.push({ path, line, text });
    return true;
  }

  /** Forgets what was found in a file. */
  drop(path: string): void {
    if (this.#files.at(-1) !== path) return;
    this.#files.pop();
    this.#matches = this.#matches.filter((match) => match.path !== path);
  }

  #hasRoom(count: number, size: number): boolean {
    const hasRoom = count < this.#limits.limit && this.#bytes + size <= this.#limits.maxBytes;
    if (hasRoom) this.#bytes += size;
    else this.isCut = true;
    return hasRoom;
  }
}
