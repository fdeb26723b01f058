/** `cellwall diff`: what a sandbox has changed, for a person or for `git apply`. */
import { CHANGE_LETTERS } from '../../tools/format.ts';
import type { DiffResult } from '../workspace/diff/diff.ts';
import type { Line } from './commands.ts';
import { plainLine, plainText } from './plain.ts';
import { operandOf } from './sandbox-line.ts';
import { pick, withSandboxes } from './servers.ts';

/** most that is asked for, in `bytes` */
const MOST_BYTES = 500_000;

type Out = NodeJS.WritableStream & { isTTY?: boolean };

/** Prints it. Resolves with the exit code. */
export const diffSandbox = (stateDir: string, line: Line, out: Out = process.stdout, err: NodeJS.WritableStream = process.stderr): Promise<number> =>
  withSandboxes(stateDir, async (found) => {
    const { server, sandbox } = pick(found, operandOf(line));
    const isPatch = line.flags['patch'] === true;
    const params = { sandbox_id: sandbox.sandbox_id, format: isPatch ? 'patch' : 'summary', max_bytes: MOST_BYTES };
    const result = await server.call<DiffResult>('sandbox.diff', params);
    const text = isPatch ? (result.patch ?? '') : listOf(result);
    out.write(out.isTTY === true ? plainText(text) : text);
    if (result.truncated) err.write('cellwall: this is not all of it: there is more than is shown at once\n');
    return result.truncated ? 1 : 0;
  });

/** `M path`. */
export const letterLine = ({ path, change }: Pick<DiffResult['changes'][number], 'path' | 'change'>): string => `${CHANGE_LETTERS[change]} ${plainLine(path)}`;

const listOf = ({ changes }: DiffResult): string => changes.map((one) => `${letterLine(one)}\n`).join('');
