import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMeta, encodeMeta, freshMeta, type Meta } from './meta-row.js';

const count = fc.maxSafeNat();
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const note = fc.uint8Array({ maxLength: 20 }).map((data) => Buffer.from(data));
const meta: fc.Arbitrary<Meta> = fc
  .record({
    appliedIndex: count,
    leaderIndex: count,
    revision: count,
    revisionOffset: count,
    bornAtIndex: fc.oneof(fc.constant(0), count),
    leaderCheck: optional(fc.bigInt(0n, 2n ** 64n - 1n)),
    fence: optional(fc.record({ epoch: count, token: count })),
    fill: optional(fc.record({ token: count, batches: count, isOpen: fc.boolean(), note })),
  })
  // What is neither born nor filled has no offset.
  .map((fields) => ({ ...freshMeta(), ...fields }))
  .filter(({ bornAtIndex, fill, leaderCheck, revisionOffset }) => {
    const isLong = bornAtIndex > 0 || fill !== undefined || leaderCheck !== undefined;
    return isLong || revisionOffset === 0;
  });

describe('the meta row', () => {
  it('comes back as it was, whichever of its parts are there', () => {
    fc.assert(
      fc.property(meta, (given) => {
        expect(decodeMeta(encodeMeta(given))).toEqual(given);
      }),
      { numRuns: 200 },
    );
  });

  it('of a table without a check is what it was before there were any', () => {
    const fence = { epoch: 7, token: 3 };
    const fill = { token: 1, batches: 2, isOpen: true, note: Buffer.from('note') };
    const sizeOf = (fields: Partial<Meta>) => encodeMeta({ ...freshMeta(), ...fields }).length;
    expect(sizeOf({})).toBe(89);
    expect(sizeOf({ fence })).toBe(105);
    expect(sizeOf({ bornAtIndex: 4 })).toBe(122);
    expect(sizeOf({ fill })).toBe(142);
    expect(sizeOf({ fence, leaderCheck: 0n })).toBe(130);
  });

  it('is refused where it is too long or too short for what it says it has', () => {
    const whole = encodeMeta({ ...freshMeta(), bornAtIndex: 4, leaderCheck: 9n });
    expect(() => decodeMeta(whole.subarray(0, -1))).toThrow('meta row');
    expect(() => decodeMeta(Buffer.concat([whole, Buffer.alloc(1)]))).toThrow('meta row');
  });
});
