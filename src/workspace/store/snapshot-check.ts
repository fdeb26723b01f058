/** Layers of a snapshot compared with what its table says they hold. */
import { SandboxError } from '../../errors.ts';
import { copyLayers, openLayers } from './layers.ts';
import type { Pace } from '../pace.ts';
import { layersOf, partsOf, type State } from './snapshot-state.ts';

/** Whether a state's layers hold exactly what its table says, by hash. Throws CANCELED. */
export const isWhole = async (key: string, state: State, { pace, signal }: { readonly pace: Pace; readonly signal: AbortSignal }): Promise<boolean> => {
  try {
    const layers = await openLayers(layersOf(key, state), pace);
    try {
      const parts = partsOf(state.known.table);
      if (layers.view.size !== parts.paths.length) return false;
      return await copyLayers(layers, parts, null, { owner: null, pace, signal });
    } finally {
      layers.close();
    }
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'CANCELED') throw error;
    return false;
  }
};
