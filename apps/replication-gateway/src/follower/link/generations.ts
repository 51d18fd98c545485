/**
 * Where the highest generation that was followed is remembered, and whether another one may be
 * followed after it.
 */
import { type Generation, type Generations } from '../ports.js';

/** As long as the process lasts. */
export class MemoryGenerations implements Generations {
  private known: Generation = { number: 0, clusterId: '' };

  highest(): Promise<Generation> {
    return Promise.resolve(this.known);
  }

  remember(generation: Generation): Promise<void> {
    if (generation.number >= this.known.number) this.known = generation;
    return Promise.resolve();
  }
}

/** The leader cluster was replaced by a promotion, or is another one than was followed. */
export class GenerationRefusedError extends Error {
  override readonly name = 'GenerationRefusedError';
}

/** Throws GenerationRefusedError for a leader cluster that must not be followed. */
export function checkGeneration(offered: Generation, highest: Generation): void {
  const { number, clusterId } = offered;
  if (number < highest.number) {
    const text = `its generation is ${number}, and ${highest.number} was followed already`;
    throw new GenerationRefusedError(text);
  }
  if (number > highest.number || highest.clusterId === '' || clusterId === highest.clusterId)
    return;
  const text = `it is cluster "${clusterId}", and "${highest.clusterId}" was followed`;
  throw new GenerationRefusedError(`${text} with the same generation ${number}`);
}
