/** `cellwall apply`: brings what a sandbox has changed into its project, after asking the person before this terminal; and takes it back. */
import { createInterface } from 'node:readline/promises';
import { ConfigError } from '../config.ts';
import { SandboxError } from '../errors.ts';
import { undoIn } from '../session/home.ts';
import type { ApplyResult, Question } from '../workspace/apply/apply.ts';
import type { DiffResult } from '../workspace/diff/diff.ts';
import { undoApply } from '../workspace/apply/undo.ts';
import type { Line } from './commands.ts';
import { letterLine } from './diff.ts';
import { plainLine } from './plain.ts';
import { operandOf } from './sandbox-line.ts';
import { pick, withSandboxes } from './servers.ts';

/** Resolves with the exit code. Throws what the server says. */
export const applySandbox = async (stateDir: string, line: Line, out: NodeJS.WritableStream = process.stdout): Promise<number> => {
  const { undo, yes } = line.flags;
  if (typeof undo === 'string') return takeBack(stateDir, undo, line, out);
  return withSandboxes(stateDir, async (found) => {
    const { server, sandbox } = pick(found, operandOf(line));
    const { sandbox_id } = sandbox;
    const { digest } = await server.call<DiffResult>('sandbox.diff', { sandbox_id, max_bytes: 1 });
    let answer: Answer = 'yes';
    server.onAsk(async (question) => {
      out.write(shown(question as Question));
      answer = yes === true ? 'yes' : await confirm();
      return answer === 'yes';
    });
    const result = await server.call<ApplyResult>('sandbox.apply', { sandbox_id, digest }).catch((error: unknown) => {
      if (answer === 'yes') throw error;
      throw REFUSALS[answer];
    });
    out.write(told(result));
    return 0;
  });
};

type Answer = 'yes' | 'no' | 'nobody';

const REFUSALS = {
  no: new SandboxError('APPLY_REFUSED', 'nothing was written: you did not agree', { hint: 'answer y' }),
  nobody: new SandboxError('APPLY_REFUSED', 'nothing was written: this is no terminal, so that nobody can be asked', { hint: 'add --yes' }),
};

const takeBack = async (stateDir: string, id: string, { operands, flags }: Line, out: NodeJS.WritableStream): Promise<number> => {
  if (operands.length > 0 || flags['yes'] !== undefined) throw new ConfigError('--undo: expected an id and nothing else');
  const count = await undoApply(undoIn(stateDir), id);
  out.write(`took back ${count === 1 ? '1 change' : `${count} changes`}\n`);
  return 0;
};

const shown = ({ changes, flagged }: Question): string => {
  const reasons = new Map(flagged.map(({ path, reason }) => [path, reason]));
  return changes.map((one) => `${letterLine(one)}${reasons.has(one.path) ? `   ← can run code: ${plainLine(reasons.get(one.path)!)}` : ''}\n`).join('');
};

const told = ({ applied, flagged, undo }: ApplyResult): string => {
  if (undo === null) return 'no changes\n';
  const flags = flagged.length > 0 ? ` (${flagged.length} can run code)` : '';
  return `applied ${applied.length === 1 ? '1 change' : `${applied.length} changes`}${flags}\nto take it back: cellwall apply --undo ${undo}\n`;
};

const confirm = async (): Promise<Answer> => {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return 'nobody';
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    const answer = await Promise.race([terminal.question('Write this into your project? [y/N] '), closed]);
    return /^y(es)?$/i.test(answer.trim()) ? 'yes' : 'no';
  } finally {
    terminal.close();
  }
};
