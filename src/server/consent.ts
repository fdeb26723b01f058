/** Asking the user of an MCP client before their files are changed: one way for both eras, a call that comes back with the answer. */
import { CLIENT_CAPABILITIES_META_KEY, inputRequired, inputResponse } from '@modelcontextprotocol/server';
import type { CallToolRequest, ClientCapabilities, InputRequiredResult, ServerContext } from '@modelcontextprotocol/server';
import { createHash, randomUUID } from 'node:crypto';
import type { Ask, Question } from '../tool.ts';

/** One call that may ask. */
export interface Asking {
  /** undefined where the client cannot ask */
  readonly ask: Ask | undefined;
  /** what to answer the client so that it asks; null when nothing was asked */
  required(): InputRequiredResult | null;
}

/** questions that wait for an answer at a time; older ones are asked again */
const MOST_OPEN = 32;
const KEY = 'apply';

/** The questions of one connection. An answer counts once, and only for the question that it was asked: the same call, with the same files. */
export class Consent {
  /** what each was about, by a name that nobody can guess */
  readonly #open = new Map<string, string>();

  /** `capabilities`: what the client declared at its start; in the 2026 era each call declares it. */
  forCall(params: CallToolRequest['params'], mcpReq: ServerContext['mcpReq'], capabilities: ClientCapabilities | undefined): Asking {
    const declared = (mcpReq.envelope as Record<string, ClientCapabilities> | undefined)?.[CLIENT_CAPABILITIES_META_KEY];
    if (!canAsk(declared ?? capabilities)) return { ask: undefined, required: () => null };
    let asked: InputRequiredResult | null = null;
    const ask: Ask = async (question) => {
      const about = createHash('sha256')
        .update(JSON.stringify([params.name, params.arguments, question]))
        .digest('hex');
      const name: unknown = mcpReq.requestState();
      if (typeof name === 'string' && this.#open.get(name) === about) {
        this.#open.delete(name);
        const answer = inputResponse(mcpReq.inputResponses, KEY);
        return answer.kind === 'elicit' && answer.action === 'accept';
      }
      asked = this.#ask(about, question);
      return false;
    };
    return { ask, required: () => asked };
  }

  #ask(about: string, question: Question): InputRequiredResult {
    const name = randomUUID();
    this.#open.set(name, about);
    for (const oldest of this.#open.keys()) if (this.#open.size > MOST_OPEN) this.#open.delete(oldest);
    const form = inputRequired.elicit({ message: messageOf(question), requestedSchema: { type: 'object', properties: {} } });
    return inputRequired({ inputRequests: { [KEY]: form }, requestState: name });
  }
}

// A client that names no mode has forms; one that only opens addresses cannot ask this.
const canAsk = (capabilities: ClientCapabilities | undefined): boolean => {
  const elicitation = capabilities?.elicitation;
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
};

/** most files that are named; those that can run code come first */
const MOST_NAMED = 200;
const MOST_CHARACTERS = 200;
const WORDS = { added: 'new', modified: 'changed', deleted: 'deleted', type_changed: 'changed type', mode_changed: 'changed mode' } as const;

const messageOf = ({ changes, flagged }: Question): string => {
  const reasons = new Map(flagged.map(({ path, reason }) => [path, reason]));
  const isFlagged = ({ path }: { path: string }): boolean => reasons.has(path);
  const sorted = [...changes.filter(isFlagged), ...changes.filter((one) => !isFlagged(one))];
  const line = ({ path, change }: (typeof changes)[number]): string =>
    `- ${shortened(path)}: ${WORDS[change]}${reasons.has(path) ? `, CAN RUN CODE on this machine (${reasons.get(path)})` : ''}`;
  const rest = sorted.length - MOST_NAMED;
  return [
    `Write ${changes.length === 1 ? 'this change' : `these ${changes.length} changes`} from the sandbox into your project?`,
    ...(flagged.length > 0 ? [`${flagged.length} of them can run code on this machine.`] : []),
    ...sorted.slice(0, MOST_NAMED).map(line),
    ...(rest > 0 ? [`- and ${rest} more that are not named here`] : []),
  ].join('\n');
};

const shortened = (path: string): string => (path.length > MOST_CHARACTERS ? `${path.slice(0, 120)}…${path.slice(-79)}` : path);
