/**
 * Whole clusters under chance, for a while, with new seeds each time. Each is printed, and runs once
 * more with `npm run sim -- --seed S --steps N`.
 */
import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Simulation, type SimulationReport } from './simulation.js';

const STEPS = 20_000;
/** How long new seeds are tried. */
const SEARCH_MS = 60_000;
const SEED_MAX = 2 ** 31;

async function run(seed: number, steps = STEPS): Promise<SimulationReport> {
  return new Simulation({ seed, steps }).run();
}

function whatHappened({ seed, violation, lines }: SimulationReport): string {
  return [`npm run sim -- --seed ${seed} --steps ${STEPS}`, ...lines, String(violation)].join('\n');
}

describe('a simulated cluster', () => {
  it('goes the same way from the same seed, to the last answer, and another from another', async () => {
    const first = await run(7, 8_000);
    const again = await run(7, 8_000);
    expect(again.digest).toBe(first.digest);
    expect(again.lines).toEqual(first.lines);
    expect((await run(8, 8_000)).digest).not.toBe(first.digest);
  });

  it('keeps what it acknowledged, answers linearizably and recovers, whatever goes wrong', async () => {
    const first = randomInt(SEED_MAX);
    const endMs = performance.now() + SEARCH_MS;
    const sums = { runs: 0, simulatedMs: 0, faults: 0, acknowledged: 0, reads: 0 };
    for (let seed = first; performance.now() < endMs; seed++) {
      const report = await run(seed);
      if (report.violation) throw new Error(whatHappened(report));
      sums.runs++;
      sums.simulatedMs += report.simulatedMs;
      sums.faults += report.faults;
      sums.acknowledged += report.acknowledged;
      sums.reads += report.reads;
    }
    console.info(`simulated seeds ${first} to ${first + sums.runs - 1}: ${JSON.stringify(sums)}`);
    // A simulation in which nothing happens proves nothing.
    expect(sums.runs).toBeGreaterThan(3);
    expect(sums.faults).toBeGreaterThan(sums.runs);
    expect(sums.acknowledged).toBeGreaterThan(sums.runs * 10);
    expect(sums.reads).toBeGreaterThan(sums.runs * 5);
  });
});
