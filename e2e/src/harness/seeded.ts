/** Random numbers of a test that prints its seed: the same ones for the same seed. */

/** Draws an integer from 0 to `below - 1`. */
export type Draw = (below: number) => number;

const MODULUS = 2 ** 31 - 1;

/** Park and Miller's generator: enough to pick places. */
export function seeded(seed: number): Draw {
  let state = (seed % (MODULUS - 1)) + 1;
  return (below) => {
    state = (state * 48_271) % MODULUS;
    return state % below;
  };
}
