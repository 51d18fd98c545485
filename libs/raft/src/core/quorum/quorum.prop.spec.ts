import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jointCommittedIndex, jointVoteResult } from './joint.js';
import { committedIndex, voteResult } from './majority.js';

const id = fc.integer({ min: 1, max: 12 });
const majority = fc.uniqueArray(id, { maxLength: 10 }).map((ids) => new Set(ids));
const acks = fc
  .dictionary(id.map(String), fc.oneof(fc.nat({ max: 20 }), fc.maxSafeNat()))
  .map((indexes) => (voter: number) => indexes[voter]);
const votes = fc
  .dictionary(id.map(String), fc.boolean())
  .map((given) => new Map(Object.entries(given).map(([voter, vote]) => [Number(voter), vote])));

/** By definition: the largest of the acknowledged indexes that more than half are not below. */
function definition(config: ReadonlySet<number>, acked: (voter: number) => number | undefined) {
  const known = [...config].map((voter) => acked(voter) ?? 0);
  const reached = known.filter((index) => {
    const others = known.filter((other) => other >= index);
    return others.length > config.size - others.length;
  });
  return config.size === 0 ? Infinity : Math.max(0, ...reached);
}

/** By definition: decided if every way to cast the missing votes gives the same answer. */
function voteDefinition(config: ReadonlySet<number>, given: ReadonlyMap<number, boolean>) {
  const yes = [...config].filter((voter) => given.get(voter) === true).length;
  const no = [...config].filter((voter) => given.get(voter) === false).length;
  if (config.size === 0 || yes > config.size - yes) return 'won';
  // Half of the votes against leave no majority for.
  return no >= config.size - no ? 'lost' : 'pending';
}

describe('quorums', () => {
  it('commit what the definition of a majority says', () => {
    fc.assert(
      fc.property(majority, acks, (config, acked) => {
        expect(committedIndex(config, acked)).toBe(definition(config, acked));
      }),
    );
  });

  it('vote as the definition of a majority says', () => {
    fc.assert(
      fc.property(majority, votes, (config, given) => {
        expect(voteResult(config, given)).toBe(voteDefinition(config, given));
      }),
    );
  });

  it('commit jointly the lower of both halves, whichever comes first', () => {
    fc.assert(
      fc.property(majority, majority, acks, (a, b, acked) => {
        const both = Math.min(definition(a, acked), definition(b, acked));
        expect(jointCommittedIndex([a, b], acked)).toBe(both);
        expect(jointCommittedIndex([b, a], acked)).toBe(both);
      }),
    );
  });

  it('win a joint vote if both halves do, lose it if one does, and wait otherwise', () => {
    fc.assert(
      fc.property(majority, majority, votes, (a, b, given) => {
        const halves = [voteDefinition(a, given), voteDefinition(b, given)];
        const waits = halves.includes('pending') ? 'pending' : 'won';
        const expected = halves.includes('lost') ? 'lost' : waits;
        expect(jointVoteResult([a, b], given)).toBe(expected);
        expect(jointVoteResult([b, a], given)).toBe(expected);
      }),
    );
  });

  it('never un-commit or un-decide when more becomes known', () => {
    fc.assert(
      fc.property(majority, acks, votes, id, fc.nat(), fc.boolean(), (config, ...rest) => {
        const [acked, given, more, step, vote] = rest;
        const further = (voter: number) =>
          voter === more ? (acked(voter) ?? 0) + step : acked(voter);
        expect(committedIndex(config, further)).toBeGreaterThanOrEqual(
          committedIndex(config, acked),
        );
        const before = voteResult(config, given);
        const after = voteResult(config, new Map([[more, vote], ...given]));
        if (before !== 'pending') expect(after).toBe(before);
      }),
    );
  });
});
