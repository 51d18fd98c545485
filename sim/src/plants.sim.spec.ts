/**
 * The simulation is only worth something if it finds what is wrong: bugs that real systems had are
 * put in on purpose, and each has to be found.
 */
import { describe, expect, it } from 'vitest';
import { isPlantName, PLANTS, type PlantName } from './plants.js';
import { Simulation } from './simulation.js';

const STEPS = 20_000;
/** Seeds that are tried when the code has changed so that the first one goes another way. */
const SEEDS_MAX = 200;

interface Finding {
  /** One that found it; the search begins with it. */
  readonly seed: number;
  /** What says that the system did wrong, and not only that it did nothing. */
  readonly says: RegExp;
}

const FINDINGS: Readonly<Record<PlantName, Finding>> = {
  'ack-before-sync': {
    seed: 2,
    says: /log matching|leader completeness|state machine|log ends at/,
  },
  'commit-old-term': { seed: 3, says: /commit rule|leader completeness|state machine/ },
  'forget-vote': { seed: 2, says: /election safety|log matching|state machine/ },
  'read-without-quorum': { seed: 28, says: /linearizable read/ },
  'apply-twice': { seed: 2, says: /determinism|replicas/ },
};

describe('a planted bug is found', () => {
  it.each(Object.entries(PLANTS))('%s: %s', async (plant) => {
    if (!isPlantName(plant)) throw new Error(`there is no plant ${plant}`);
    const { seed: first, says } = FINDINGS[plant];
    let last: Error | undefined;
    for (let seed = first; seed < first + SEEDS_MAX; seed++) {
      const { violation, steps } = await new Simulation({ seed, steps: STEPS, plant }).run();
      last = violation ?? last;
      if (!violation || !says.test(violation.message)) continue;
      console.info(`${plant}: seed ${seed}, event ${steps}: ${violation.message.slice(0, 160)}`);
      return;
    }
    expect.fail(`not found in ${SEEDS_MAX} seeds; the last violation: ${String(last)}`);
  });
});
