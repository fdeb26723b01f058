import { describe, expect, it } from 'vitest';
import { chooseLayout } from '../../src/workspace/layout.ts';
import { mode } from '../e2e/harness/mode.ts';
import { enclosed } from '../syscall/enclosed.ts';

const trialOf = (flaw: string | null, renamesFolders: boolean) => () => Promise.resolve({ flaw, renamesFolders });
const [good, half, bad] = [trialOf(null, true), trialOf(null, false), trialOf('what does not hold: a claim', false)];
const never = () => Promise.reject(new Error('nothing is tried'));

describe('the layout of a workspace', () => {
  it('is an overlay where it works; what that cannot do is said', async () => {
    for (const asked of ['auto', 'overlay'] as const) {
      expect(await chooseLayout(asked, good)).toEqual({ kind: 'overlay', warnings: [] });
      expect(await chooseLayout(asked, half)).toEqual({ kind: 'overlay', warnings: [expect.stringMatching(/`git mv`.*`workspace.layout` "plain"/)] });
    }
  });

  it('is a copy, with a warning, where it does not work; no sandbox where the policy demands it', async () => {
    expect(await chooseLayout('auto', bad)).toEqual({ kind: 'plain', warnings: [expect.stringMatching(/what does not hold: a claim.*copy of the whole/)] });
    await expect(chooseLayout('overlay', bad)).rejects.toMatchObject({
      code: 'RUNTIME_UNAVAILABLE',
      message: expect.stringContaining('what does not hold: a claim'),
      hint: expect.stringContaining('"plain"'),
    });
  });

  it('is a copy where the policy says so, and nothing is tried', async () => {
    expect(await chooseLayout('plain', never)).toEqual({ kind: 'plain', warnings: [] });
  });
});

/** Which claim it is differs with the kernel. */
const FLAW = /^what does not hold: a \w+ from below is .*\(E\w+\)$/;

it(`an overlay is tried: one over a tmpfs holds all that programs do, one over a ramfs does not, as ${mode}`, () => {
  expect(enclosed('overlayTrials').result).toEqual({
    tmpfs: mode === 'root',
    ramfs: expect.stringMatching(FLAW),
    answer: { flaw: expect.stringMatching(FLAW), renamesFolders: false },
    left: ['store'],
  });
});
