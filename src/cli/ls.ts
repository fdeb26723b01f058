/** `cellwall ls`: the sandboxes of all servers of this user. */
import { plainLine } from './plain.ts';
import { withSandboxes, type Listed } from './servers.ts';

/** Prints them as a table. Resolves with the exit code. */
export const listSandboxes = (stateDir: string, out: NodeJS.WritableStream = process.stdout, now = Date.now()): Promise<number> =>
  withSandboxes(stateDir, async (found) => {
    const rows = found.map(({ sandbox }) => rowOf(sandbox, now));
    out.write(rows.length === 0 ? 'no sandboxes\n' : tableOf([HEAD, ...rows]));
    return 0;
  });

const HEAD = ['SANDBOX', 'LABEL', 'POLICY', 'STATE', 'AGE', 'ENDS IN', 'RUNNING', 'MEMORY'];

const rowOf = ({ sandbox_id, label, policy, state, created_at, expires_at, running, usage }: Listed, now: number): string[] => [
  sandbox_id,
  plainLine(label ?? '-'),
  plainLine(policy),
  state,
  spanOf(now - Date.parse(created_at)),
  spanOf(Date.parse(expires_at) - now),
  String(running.length),
  usage.memory_mb === null ? '-' : `${Math.round(usage.memory_mb)} MB`,
];

const MINUTE_MS = 60_000;

const spanOf = (ms: number): string => {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const tableOf = (rows: readonly (readonly string[])[]): string => {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
};
