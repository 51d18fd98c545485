import { describe, expect, it } from 'vitest';
import type { Raft } from '../core/raft.js';
import type { Entry } from '../core/index.js';
import { RaftInvariants } from './raft-invariants.js';

const GROUP = 7;

function entry(index: number, term: number, data = `${index}/${term}`): Entry {
  return { index, term, type: 0, data: Buffer.from(data) };
}

/** A leader whose log holds an entry of the given term at each index from 1 on. */
function leader(term: number, terms: readonly number[], committed = 0): Raft {
  const log = {
    firstIndex: () => 1,
    lastIndex: () => terms.length,
    committed,
    termOrZero: (index: number) => terms[index - 1] ?? 0,
  };
  return { state: 'StateLeader', term, log } as unknown as Raft;
}

describe('the safety properties of Raft', () => {
  it('election safety: two leaders of one term are seen, two of two terms are right', () => {
    const invariants = new RaftInvariants();
    invariants.looks(GROUP, 1, leader(3, []));
    invariants.looks(GROUP, 1, leader(3, []));
    invariants.looks(GROUP, 2, leader(4, []));
    expect(() => invariants.looks(GROUP, 2, leader(3, []))).toThrow('election safety');
    expect(invariants.elections).toBe(2);
  });

  it('log matching: other data, or another past, at the same index and term is seen', () => {
    const invariants = new RaftInvariants();
    invariants.appends(GROUP, 1, 0, [entry(1, 1), entry(2, 1)]);
    invariants.appends(GROUP, 2, 1, [entry(2, 1)]);
    invariants.appends(GROUP, 2, 1, [entry(2, 2)]);
    invariants.appends(GROUP, 3, undefined, [entry(2, 1)]);
    expect(() => invariants.appends(GROUP, 3, 1, [entry(2, 1, 'x')])).toThrow('log matching');
    invariants.appends(GROUP, 1, 1, [entry(3, 2)]);
    expect(() => invariants.appends(GROUP, 2, 2, [entry(3, 2)])).toThrow('log matching');
  });

  it('leader completeness: who leads later without a committed entry is seen', () => {
    const invariants = new RaftInvariants();
    invariants.applies(GROUP, 1, 2, [entry(1, 1), entry(2, 2)]);
    invariants.looks(GROUP, 1, leader(3, [1, 2, 3]));
    // A leader of a term before the one it was committed in need not have it.
    invariants.looks(GROUP, 2, leader(2, [1]));
    expect(() => invariants.looks(GROUP, 3, leader(4, [1]))).toThrow('leader completeness');
    expect(() => invariants.looks(GROUP, 3, leader(5, [1, 4]))).toThrow('leader completeness');
  });

  it('commit rule: an entry of an earlier term that is committed by counting is seen', () => {
    const invariants = new RaftInvariants();
    invariants.looks(GROUP, 1, leader(3, [1, 2, 3], 1));
    invariants.looks(GROUP, 1, leader(3, [1, 2, 3], 3));
    invariants.looks(GROUP, 2, leader(4, [1, 2, 3, 4], 1));
    expect(() => invariants.looks(GROUP, 2, leader(4, [1, 2, 3, 4], 2))).toThrow('commit rule');
  });

  it('state machine safety: another entry at an applied index is seen', () => {
    const invariants = new RaftInvariants();
    invariants.applies(GROUP, 1, 1, [entry(1, 1)]);
    invariants.applies(GROUP, 2, 1, [entry(1, 1)]);
    expect(() => invariants.applies(GROUP, 3, 1, [entry(1, 1, 'x')])).toThrow('state machine');
    expect(() => invariants.applies(GROUP, 3, 2, [entry(1, 2)])).toThrow('state machine');
    expect(invariants.committedMax(GROUP)).toBe(1);
  });
});
