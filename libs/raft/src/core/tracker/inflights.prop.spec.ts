import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Inflights } from './inflights.js';

type Step =
  | { readonly kind: 'add'; readonly gap: number; readonly bytes: number }
  | { readonly kind: 'free'; readonly part: number }
  | { readonly kind: 'reset' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      gap: fc.integer({ min: 0, max: 3 }),
      bytes: fc.nat({ max: 10 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('free' as const), part: fc.nat({ max: 100 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reset' as const }) },
);

describe('the window of appends', () => {
  it('behaves like a list, whatever is added and freed', () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(
        size,
        fc.nat({ max: 60 }),
        fc.array(step, { maxLength: 200 }),
        (max, bytes, all) => {
          const window = new Inflights(max, bytes);
          let model: { index: number; bytes: number }[] = [];
          let last = 0;
          const isFull = () =>
            model.length >= max ||
            (bytes > 0 && model.reduce((sum, message) => sum + message.bytes, 0) >= bytes);
          for (const each of all) {
            if (each.kind === 'add' && !isFull()) {
              last += each.gap;
              window.add(last, each.bytes);
              model.push({ index: last, bytes: each.bytes });
            } else if (each.kind === 'free') {
              const index = Math.floor((last * each.part) / 100);
              window.freeLE(index);
              model = model.filter((message) => message.index > index);
            } else if (each.kind === 'reset') {
              window.reset();
              model = [];
            }
            expect([window.count(), window.full()]).toEqual([model.length, isFull()]);
          }
        },
      ),
    );
  });
});
