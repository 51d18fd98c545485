import { describe, expect, it } from 'vitest';
import { SimRandom } from './sim-random.js';
import { SimWorld } from './sim-world.js';

async function runAll(world: SimWorld): Promise<void> {
  while (await world.step());
}

describe('a simulated world', () => {
  it('has events happen in the order of time, then of asking, each with all that follows', async () => {
    const world = new SimWorld();
    const random = new SimRandom(1);
    const due: [number, number][] = [];
    const happened: [number, number][] = [];
    for (let order = 0; order < 500; order++) {
      const delayMs = random.below(50);
      due.push([delayMs, order]);
      world.at(delayMs, () => {
        void Promise.resolve()
          .then(() => Promise.resolve())
          .then(() => happened.push([world.nowMs, order]));
      });
    }
    await runAll(world);
    expect(happened).toEqual(due.sort(([a, i], [b, j]) => a - b || i - j));
    expect(world.steps).toBe(500);
  });

  it('forgets what was cancelled, and looks once after each event', async () => {
    const world = new SimWorld();
    const seen: string[] = [];
    const cancel = world.at(1, () => seen.push('cancelled'));
    world.at(2, () => {
      const who = {};
      world.afterStep(who, () => seen.push('first look'));
      world.afterStep(who, () => seen.push('look'));
      void Promise.resolve().then(() => seen.push('followed'));
    });
    cancel();
    await runAll(world);
    expect(seen).toEqual(['followed', 'look']);
    expect(world.nowMs).toBe(2);
  });
});
