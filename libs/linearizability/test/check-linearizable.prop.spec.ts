/** The checker against histories that have an order by construction, and against the definition. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkByKey } from '../src/checker/check-by-key.js';
import { checkLinearizable } from '../src/checker/check-linearizable.js';
import { kvModel } from '../src/models/kv-model.js';
import { registerModel } from '../src/models/register-model.js';
import { hasOrder } from './brute-force.js';
import {
  isAllowed,
  trueKvHistory,
  trueRegisterHistory,
  wildRegisterHistory,
  withOneGetChanged,
} from './histories.js';

/** Sizes at which trying every order is still quick. */
const SMALL = 7;
const verdictOf = (ordered: boolean) => (ordered ? 'linearizable' : 'not-linearizable');

describe('a history that comes from a real order', () => {
  it('of a register is accepted', () => {
    fc.assert(
      fc.property(trueRegisterHistory(60), (operations) => {
        expect(checkLinearizable(registerModel, operations).verdict).toBe('linearizable');
      }),
    );
  });

  it('of a key with revisions is accepted', () => {
    fc.assert(
      fc.property(trueKvHistory(80), (operations) => {
        expect(checkLinearizable(kvModel, operations).verdict).toBe('linearizable');
      }),
    );
  });
});

describe('the verdict is that of the definition', () => {
  it('on histories of a register that nobody computed', () => {
    const seen = { linearizable: 0, 'not-linearizable': 0 };
    fc.assert(
      fc.property(wildRegisterHistory(SMALL), (operations) => {
        const wanted = verdictOf(hasOrder(registerModel, operations));
        seen[wanted] += 1;
        expect(checkLinearizable(registerModel, operations).verdict).toBe(wanted);
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(seen.linearizable, seen['not-linearizable'])).toBeGreaterThan(100);
  });

  it('on histories of a key in which one get was given another answer', () => {
    const seen = { linearizable: 0, 'not-linearizable': 0 };
    const change = fc.oneof(
      fc.record({ found: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ revision: fc.integer({ min: 1, max: 14 }) }),
      fc.record({
        found: fc.constantFrom('a', 'b', 'c'),
        revision: fc.integer({ min: 1, max: 14 }),
      }),
    );
    fc.assert(
      fc.property(trueKvHistory(SMALL), fc.nat(), change, (operations, pick, changed) => {
        const corrupt = withOneGetChanged(operations, pick, changed);
        fc.pre(corrupt !== undefined);
        const wanted = verdictOf(hasOrder(kvModel, corrupt));
        seen[wanted] += 1;
        expect(checkLinearizable(kvModel, corrupt).verdict).toBe(wanted);
      }),
      { numRuns: 1500 },
    );
    expect(Math.min(seen.linearizable, seen['not-linearizable'])).toBeGreaterThan(50);
  });

  it('whatever the hashes of the states: all the same, or none', () => {
    const plain = { ...registerModel, hash: undefined };
    fc.assert(
      fc.property(wildRegisterHistory(SMALL), (operations) => {
        const wanted = checkLinearizable(registerModel, operations);
        expect(checkLinearizable(plain, operations)).toEqual(wanted);
        expect(checkLinearizable({ ...plain, hash: () => 1 }, operations)).toEqual(wanted);
      }),
      { numRuns: 300 },
    );
  });

  it('on two keys: that of both together', () => {
    fc.assert(
      fc.property(
        wildRegisterHistory(4),
        wildRegisterHistory(4),
        fc.constantFrom(1, 40),
        (one, other, stepsMax) => {
          const wanted = verdictOf(hasOrder(registerModel, one) && hasOrder(registerModel, other));
          const all = [...one, ...other];
          const keyOf = (operation: (typeof all)[number]) => (one.includes(operation) ? 'a' : 'b');
          expect(checkByKey(registerModel, all, keyOf).verdict).toBe(wanted);
          expect(['unknown', wanted]).toContain(
            checkByKey(registerModel, all, keyOf, { stepsMax }).verdict,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the longest order', () => {
  it('is one that the model and the times allow, and nothing can follow it', () => {
    fc.assert(
      fc.property(wildRegisterHistory(12), (operations) => {
        const { verdict, longest } = checkLinearizable(registerModel, operations);
        const { linearized, stuck, state } = longest;
        expect(isAllowed(registerModel, linearized)).toBe(true);
        linearized.forEach((operation, at) => {
          const later = linearized.slice(at + 1);
          expect(later.every((other) => !(other.return < operation.call))).toBe(true);
        });
        expect(stuck.length === 0).toBe(verdict === 'linearizable');
        for (const { input, output } of stuck) {
          if (verdict === 'not-linearizable' && stuck.length === 1) {
            expect(registerModel.step(state, input, output)).toBeUndefined();
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
