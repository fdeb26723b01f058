import { describe, expect, it } from 'vitest';
import { allTools } from '../../tools/index.ts';
import { connect, sandbox_id, type Message } from './mcp-client.ts';

const DIGEST = '0'.repeat(64);
const APPLY = { sandbox_id, digest: DIGEST };
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 't', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
};

/** A client of the 2026 era that can ask: each of its calls says so. */
const modern = async () => {
  const client = await connect({}, { handshake: false, tools: allTools });
  const call = (args: object, rest: object = {}): Promise<Message> => client.call('sandbox_apply', args, { _meta: META, ...rest });
  return { ...client, apply: call };
};
const accepted = { inputResponses: { apply: { action: 'accept', content: {} } } };
const isRefused = ({ result }: Message): void => {
  expect(result.isError, JSON.stringify(result)).toBe(true);
  expect(result._meta['cellwall/error'].code).toBe('APPLY_REFUSED');
};

describe('M7 nothing but the answer to a question of ours is an agreement:', () => {
  it('a call is answered with the question, and done when it comes back with a yes', async () => {
    const { apply } = await modern();
    const { result } = await apply(APPLY);
    expect(result).toMatchObject({ resultType: 'input_required', requestState: expect.any(String) as string });
    expect(result.inputRequests.apply).toMatchObject({
      method: 'elicitation/create',
      params: {
        message:
          'Write this change from the sandbox into your project?\n1 of them can run code on this machine.\n- run.sh: new, CAN RUN CODE on this machine (executable)',
      },
    });
    const done = await apply(APPLY, { ...accepted, requestState: result.requestState as string });
    expect(done.result.structuredContent).toMatchObject({ undo: '0123456789abcdef' });
  });

  it.each([
    ['a no', { inputResponses: { apply: { action: 'decline' } } }],
    ['a closed question', { inputResponses: { apply: { action: 'cancel' } } }],
    ['an answer to something else', { inputResponses: { other: { action: 'accept', content: {} } } }],
    ['no answer', {}],
    ['an answer of another kind', { inputResponses: { apply: { roots: [] } } }],
  ])('%s is none', async (_, answer) => {
    const { apply } = await modern();
    const { result } = await apply(APPLY);
    isRefused(await apply(APPLY, { ...answer, requestState: result.requestState as string }));
  });

  it('an answer to a question that was not asked is asked about', async () => {
    const { apply } = await modern();
    for (const requestState of ['', 'x', '00000000-0000-4000-8000-000000000000'])
      expect((await apply(APPLY, { ...accepted, requestState })).result.resultType).toBe('input_required');
    expect((await apply(APPLY, accepted)).result.resultType).toBe('input_required');
  });

  it('an answer counts once, and for its own call alone', async () => {
    const { apply } = await modern();
    const { result } = await apply(APPLY);
    const requestState = result.requestState as string;
    const other = await apply({ ...APPLY, digest: '1'.repeat(64) }, { ...accepted, requestState });
    expect(other.result.resultType).toBe('input_required');
    expect((await apply(APPLY, { ...accepted, requestState })).result.isError).toBeUndefined();
    expect((await apply(APPLY, { ...accepted, requestState })).result.resultType).toBe('input_required');
  });

  it('an argument that looks like one is refused by name', async () => {
    const { apply } = await modern();
    const { result } = await apply({ ...APPLY, ...accepted });
    expect(result._meta['cellwall/error'].code).toBe('INVALID_PARAMS');
  });

  it('a client that can only open addresses, or nothing, cannot ask', async () => {
    for (const capabilities of [{}, { elicitation: { url: {} } }]) {
      const { apply } = await modern();
      const _meta = { ...META, 'io.modelcontextprotocol/clientCapabilities': capabilities };
      isRefused(await apply(APPLY, { _meta }));
      isRefused(await apply(APPLY, { _meta, ...accepted, requestState: 'x' }));
    }
  });

  it('the server says that files may change where they may', async () => {
    const { hello } = await connect({}, { tools: allTools });
    expect(hello?.result.instructions).toContain('are changed by sandbox_apply alone, after the user has agreed.');
    expect((await connect()).hello?.result.instructions).toContain("The user's own files are never changed.");
  });
});
