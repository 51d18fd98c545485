import { describe, expect, it } from 'vitest';
import {
  describeJointCommit,
  jointCommittedIndex,
  jointToString,
  jointVoteResult,
} from './joint.js';
import { committedIndex, describeCommit, majorityToString, voteResult } from './majority.js';

const acked = (indexes: Record<number, number>) => (id: number) => indexes[id];
const votes = (given: Record<number, boolean>) =>
  new Map(Object.entries(given).map(([id, vote]) => [Number(id), vote]));

describe('a majority', () => {
  it('has the index that more than half reached', () => {
    expect(committedIndex(new Set([1, 2, 3]), acked({ 1: 12, 2: 5, 3: 6 }))).toBe(6);
    expect(committedIndex(new Set([1, 2, 3, 4]), acked({ 1: 9, 2: 8, 3: 7, 4: 6 }))).toBe(7);
    expect(committedIndex(new Set([1, 2, 3]), acked({ 1: 12 }))).toBe(0);
  });

  it('agrees with everything if nobody is in it', () => {
    expect(committedIndex(new Set(), acked({}))).toBe(Infinity);
    expect(voteResult(new Set(), new Map())).toBe('won');
  });

  it('does not mix up a large configuration and the small one computed after it', () => {
    const nine = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(committedIndex(nine, (id) => id * 100)).toBe(500);
    expect(committedIndex(new Set([1, 2]), acked({ 1: 3, 2: 4 }))).toBe(3);
    expect(committedIndex(nine, (id) => 10 - id)).toBe(5);
  });

  it('decides a vote as soon as the missing ones cannot change it', () => {
    const five = new Set([1, 2, 3, 4, 5]);
    expect(voteResult(five, votes({ 1: true, 2: true, 3: true }))).toBe('won');
    expect(voteResult(five, votes({ 1: true, 2: false, 3: false }))).toBe('pending');
    expect(voteResult(five, votes({ 1: false, 2: false, 3: false }))).toBe('lost');
    expect(voteResult(new Set([1, 2]), votes({ 1: false }))).toBe('lost');
  });

  it('ignores votes and acknowledgements of others', () => {
    expect(voteResult(new Set([1]), votes({ 2: true, 3: true }))).toBe('pending');
    expect(committedIndex(new Set([1]), acked({ 2: 7 }))).toBe(0);
  });

  it('draws longer bars for voters that are ahead of more others', () => {
    expect(describeCommit(new Set([3, 1, 2]), acked({ 1: 100, 3: 100 }))).toBe(
      '       idx\nx>     100    (id=1)\n?        0    (id=2)\nx>     100    (id=3)\n',
    );
    expect(describeCommit(new Set(), acked({}))).toBe('<empty majority quorum>');
    expect(majorityToString(new Set([10, 2]))).toBe('(2 10)');
  });
});

describe('a joint quorum', () => {
  it('commits what both halves have', () => {
    const joint = [new Set([1, 2, 3]), new Set([3, 4, 5])] as const;
    expect(jointCommittedIndex(joint, acked({ 1: 9, 2: 9, 3: 8, 4: 7 }))).toBe(7);
    expect(jointCommittedIndex(joint, acked({ 1: 9, 2: 9, 3: 9 }))).toBe(0);
  });

  it('wins only with both halves and loses with either', () => {
    const joint = [new Set([1]), new Set([2])] as const;
    expect(jointVoteResult(joint, votes({ 1: true }))).toBe('pending');
    expect(jointVoteResult(joint, votes({ 1: true, 2: true }))).toBe('won');
    expect(jointVoteResult(joint, votes({ 2: false }))).toBe('lost');
    expect(jointVoteResult(joint, votes({ 1: true, 2: false }))).toBe('lost');
  });

  it('is written with its outgoing half only while there is one', () => {
    expect(jointToString([new Set([2, 1]), new Set()])).toBe('(1 2)');
    expect(jointToString([new Set(), new Set()])).toBe('()');
    expect(jointToString([new Set([1]), new Set([3, 2])])).toBe('(1)&&(2 3)');
    expect(describeJointCommit([new Set([1]), new Set([1])], acked({ 1: 4 }))).toBe(
      '     idx\n>      4    (id=1)\n',
    );
  });
});
