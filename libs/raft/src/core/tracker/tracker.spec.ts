import { describe, expect, it } from 'vitest';
import { restore } from '../confchange/restore.js';
import type { ConfState } from '../types.js';
import { ProgressTracker, TrackerConfig } from './tracker.js';

const EMPTY: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

function tracker(state: Partial<ConfState>): ProgressTracker {
  const made = new ProgressTracker(10, 0);
  const { config, progress } = restore({ tracker: made, lastIndex: 5 }, { ...EMPTY, ...state });
  made.config = config;
  made.progress = progress;
  return made;
}

const JOINT = {
  voters: [3, 1, 2],
  learners: [5],
  votersOutgoing: [4, 2, 1],
  learnersNext: [4],
  autoLeave: true,
};

function setMatch(members: ProgressTracker, matches: Record<number, number>): void {
  for (const [id, match] of Object.entries(matches)) {
    members.progress.get(Number(id))?.maybeUpdate(match);
  }
}

describe('the tracker', () => {
  it('writes a configuration with the parts that it has', () => {
    const sets = [new Set([4]), new Set([5])] as const;
    expect(new TrackerConfig().toString()).toBe('voters=()');
    expect(tracker({ voters: [10, 9] }).config.toString()).toBe('voters=(9 10)');
    expect(new TrackerConfig([new Set([3, 1, 2]), new Set([2, 1])], ...sets, true).toString()).toBe(
      'voters=(1 2 3)&&(1 2) learners=(4) learners_next=(5) autoleave',
    );
  });

  it('gives its configuration as sorted lists', () => {
    expect(tracker(JOINT).confState()).toEqual({
      voters: [1, 2, 3],
      learners: [5],
      votersOutgoing: [1, 2, 4],
      learnersNext: [4],
      autoLeave: true,
    });
    expect(tracker({}).confState()).toEqual(EMPTY);
  });

  it('visits members, and lists voters and learners, in the order of ids', () => {
    const members = tracker(JOINT);
    const visited: number[] = [];
    members.visit((id) => visited.push(id));
    expect(visited).toEqual([1, 2, 3, 4, 5]);
    expect(members.voterNodes()).toEqual([1, 2, 3, 4]);
    expect(members.learnerNodes()).toEqual([5]);
    members.progress = new Map([...members.progress].filter(([id]) => id !== 2).reverse());
    visited.length = 0;
    members.visit((id) => visited.push(id));
    expect(visited).toEqual([1, 3, 4, 5]);
  });

  it('commits what the majorities of voters have; learners do not count', () => {
    const members = tracker({ voters: [1, 2, 3], learners: [4, 5] });
    setMatch(members, { 1: 9, 4: 9, 5: 9 });
    expect(members.committed()).toBe(0);
    setMatch(members, { 3: 7 });
    expect(members.committed()).toBe(7);
    const joint = tracker(JOINT);
    setMatch(joint, { 1: 9, 3: 9 });
    expect(joint.committed()).toBe(0);
    setMatch(joint, { 4: 6 });
    expect(joint.committed()).toBe(6);
  });

  it('is a singleton with one voter outside of a change', () => {
    expect(tracker({ voters: [1], learners: [2] }).isSingleton()).toBe(true);
    expect(tracker({ voters: [1, 2] }).isSingleton()).toBe(false);
    expect(tracker({ voters: [1], votersOutgoing: [1, 2] }).isSingleton()).toBe(false);
  });

  it('has an active quorum if enough voters were heard of', () => {
    const members = tracker({ voters: [1, 2, 3], learners: [4] });
    const hearOf = (...ids: number[]) => {
      members.visit((id, progress) => (progress.recentActive = ids.includes(id)));
      return members.quorumActive();
    };
    expect(hearOf(1, 4)).toBe(false);
    expect(hearOf(1, 3)).toBe(true);
    expect(hearOf()).toBe(false);
  });

  it('counts the first vote of each voter, and none of learners or strangers', () => {
    const members = tracker({ voters: [1, 2, 3], learners: [4] });
    members.recordVote(1, true);
    members.recordVote(2, false);
    members.recordVote(2, true);
    members.recordVote(4, true);
    members.recordVote(9, true);
    expect(members.tallyVotes()).toEqual({ granted: 1, rejected: 1, result: 'pending' });
    members.recordVote(3, true);
    expect(members.tallyVotes()).toEqual({ granted: 2, rejected: 1, result: 'won' });
    members.resetVotes();
    expect(members.tallyVotes()).toEqual({ granted: 0, rejected: 0, result: 'pending' });
  });

  it('forgets progress but not who is a learner', () => {
    const members = tracker({ voters: [1, 2], learners: [3] });
    members.progress.get(2)?.becomeReplicate();
    members.progress.get(2)?.sentEntries(2, 10);
    members.resetProgress(7, 1);
    const texts: string[] = [];
    members.visit((id, progress) => texts.push(`${id} ${progress.toString()}`));
    expect(texts).toEqual([
      '1 StateProbe match=7 next=8 inactive',
      '2 StateProbe match=0 next=8 inactive',
      '3 StateProbe match=0 next=8 learner inactive',
    ]);
  });
});
