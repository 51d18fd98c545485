/**
 * The simulation is only worth something if it finds what is wrong: bugs that real systems had are
 * put in on purpose, and each has to be found.
 */
import { describe, expect, it } from 'vitest';
import { PLANTS, type PlantName } from './plants.js';
import { Simulation } from './simulation.js';

const STEPS = 20_000;
const FIRST_SEED = 1_000;
/** Seeds that are tried at most; most bugs show within ten. */
const SEEDS_MAX = 300;

/** What says that the system did wrong, and not only that it did nothing. */
const SAFETY: Readonly<Record<PlantName, RegExp>> = {
  'ack-before-sync':
    /log matching|state machine|leader completeness|acknowledged|log ends at|out of range|replicas/,
  'commit-old-term':
    /log matching|state machine|leader completeness|acknowledged|conflict|ConfChange|replicas/,
  'forget-vote': /election safety|log matching|state machine|leader completeness/,
  'read-without-quorum': /linearizable read/,
  'apply-twice': /determinism|replicas/,
};

describe('a planted bug is found', () => {
  for (const [name, what] of Object.entries(PLANTS)) {
    const plant = name as PlantName;
    it(`${plant}: ${what}`, async () => {
      let last: unknown;
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS_MAX; seed++) {
        const { violation, steps } = await new Simulation({ seed, steps: STEPS, plant }).run();
        if (!violation) continue;
        last = violation;
        if (!SAFETY[plant].test(violation.message)) continue;
        console.info(`${plant}: seed ${seed}, event ${steps}: ${violation.message.slice(0, 160)}`);
        return;
      }
      expect.fail(`not found in ${SEEDS_MAX} seeds; the last violation: ${String(last)}`);
    });
  }
});
