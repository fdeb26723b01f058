/** Series of measurements, and the table that they are shown in. */

/** What a series comes to. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly p95: number;
}

/** Nearest-rank percentiles; of an empty series NaN. */
export const summarize = (series: readonly number[]): Summary => {
  const sorted = series.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? NaN;
  return { median: at(0.5), min: sorted[0] ?? NaN, p95: at(0.95) };
};

/** A single measurement as a series. */
export const single = (value: number): Summary => ({ median: value, min: value, p95: value });

/** How long something takes, in `ms`. */
export const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  await run();
  return performance.now() - startedAt;
};

/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly unit: 'ms' | 'MB';
  readonly ours: Summary;
  readonly peer?: Summary;
  /** what the two come to, or ours alone, in words: `0.74 ×` */
  readonly result: string;
  /** null: shown, and nothing is promised */
  readonly target: { readonly text: string; readonly holds: boolean } | null;
}

const COLUMNS = ['', 'cellwall', 'min', 'p95', 'peer', 'min', 'p95', 'result', 'target', ''];

/** The rows under a head, in columns. */
export const formatTable = (rows: readonly Row[]): string => {
  const cells = [COLUMNS, ...rows.map(cellsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ');
  const [head = '', ...body] = cells.map((row) => line(row).trimEnd());
  return [head, '─'.repeat(Math.max(...[head, ...body].map((one) => one.length))), ...body].join('\n');
};

const cellsOf = ({ what, unit, ours, peer, result, target }: Row): string[] => [
  `${what} (${unit})`,
  ...numbers(ours, unit),
  ...(peer === undefined ? ['', '', ''] : numbers(peer, unit)),
  result,
  target?.text ?? '',
  target === null ? '' : target.holds ? 'ok' : 'short',
];

const numbers = ({ median, min, p95 }: Summary, unit: Row['unit']): string[] => [median, min, p95].map((value) => value.toFixed(unit === 'ms' ? 2 : 1));
