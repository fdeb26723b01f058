/** What a client can call, in the order in which it is listed. To add a tool: one file, one line. */
import type { Tool } from '../src/tool.ts';
import apply from './apply.ts';
import create from './create.ts';
import destroy from './destroy.ts';
import diff from './diff.ts';
import exec from './exec.ts';
import list from './list.ts';
import read from './read.ts';
import search from './search.ts';
import wait from './wait.ts';
import write from './write.ts';

export const tools: readonly Tool[] = [create, exec, wait, read, write, search, diff, list, destroy];

/** With what writes to the host: for operators, and for clients where the operator allows it. */
export const allTools: readonly Tool[] = [...tools.slice(0, -2), apply, ...tools.slice(-2)];
