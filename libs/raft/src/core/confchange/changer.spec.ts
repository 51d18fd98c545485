import { describe, expect, it } from 'vitest';
import { progressMapToString } from '../tracker/progress.js';
import { ProgressTracker, TrackerConfig } from '../tracker/tracker.js';
import type { ConfState } from '../types.js';
import { Changer, ConfChangeError, type ChangeResult } from './changer.js';
import { parseConfChanges } from './format.js';
import { restore } from './restore.js';

const EMPTY: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

function tracker(state: Partial<ConfState> = {}): ProgressTracker {
  const made = new ProgressTracker(10, 0);
  take(made, restore({ tracker: made, lastIndex: 4 }, { ...EMPTY, ...state }));
  return made;
}

function take(members: ProgressTracker, { config, progress }: ChangeResult): void {
  members.config = config;
  members.progress = progress;
}

const simple = (members: ProgressTracker, text: string) =>
  new Changer(members, 20).simple(parseConfChanges(text));
const joint = (members: ProgressTracker, text: string) =>
  new Changer(members, 20).enterJoint(false, parseConfChanges(text));

describe('the changer', () => {
  it('never touches what it starts from', () => {
    const members = tracker({ voters: [1, 2, 3], learners: [4] });
    const before = [members.config.toString(), progressMapToString(members.progress)];
    simple(members, 'v4');
    simple(members, 'r1');
    joint(members, 'l1 r2 v4 v5');
    expect(() => simple(members, 'r1 r2')).toThrow(ConfChangeError);
    const changed = joint(members, 'l1').progress.get(1);
    changed?.inflights.add(1, 1);
    changed?.becomeReplicate();
    expect([members.config.toString(), progressMapToString(members.progress)]).toEqual(before);
  });

  it('keeps an outgoing voter a voter until the joint configuration is left', () => {
    const members = tracker({ voters: [1, 2] });
    take(members, joint(members, 'l1 r2 v3'));
    expect(members.config.toString()).toBe('voters=(3)&&(1 2) learners_next=(1)');
    expect([...members.progress.keys()].sort()).toEqual([1, 2, 3]);
    expect(members.progress.get(1)?.isLearner).toBe(false);
    take(members, new Changer(members, 21).leaveJoint());
    expect(members.config.toString()).toBe('voters=(3) learners=(1)');
    expect(progressMapToString(members.progress)).toBe(
      '1: StateProbe match=0 next=4 learner\n3: StateProbe match=0 next=20\n',
    );
  });

  it('takes back a demotion that comes in the same change', () => {
    const members = tracker({ voters: [1, 2] });
    expect(joint(members, 'l1 v1').config.toString()).toBe('voters=(1 2)&&(1 2)');
    expect(joint(members, 'l1 r1').config.toString()).toBe('voters=(2)&&(1 2)');
    expect(joint(members, 'r1 l1 l1').config.toString()).toBe(
      'voters=(2)&&(1 2) learners_next=(1)',
    );
  });

  it('counts voters that change by where they end, not by the steps there', () => {
    const members = tracker({ voters: [1, 2, 3] });
    expect(simple(members, 'r1 v1 v4 r4 r2').config.toString()).toBe('voters=(1 3)');
    expect(simple(members, 'l1 l5 l6').config.toString()).toBe('voters=(2 3) learners=(1 5 6)');
    expect(() => simple(members, 'r1 v4')).toThrow(
      'more than one voter changed without entering joint config',
    );
    expect(() => simple(members, 'r1 r2 r3 v1')).toThrow('more than one voter changed');
  });

  it('ignores the node 0 and updates', () => {
    const members = tracker({ voters: [1] });
    expect(simple(members, 'v0 r0 l0 u1 u9').config.toString()).toBe('voters=(1)');
  });

  it('probes a new member from the newest entry, but never from 0', () => {
    const members = tracker({ voters: [1] });
    expect(simple(members, 'v2').progress.get(2)?.next).toBe(20);
    expect(new Changer(members, 0).simple(parseConfChanges('v2')).progress.get(2)?.next).toBe(1);
    expect(simple(members, 'v2').progress.get(2)?.recentActive).toBe(true);
  });

  it.each<[string, TrackerConfig, string]>([
    ['no progress for 9', new TrackerConfig([new Set([1, 9]), new Set()]), 'no progress for 9'],
    [
      'a voter that is a learner',
      new TrackerConfig([new Set([1]), new Set()], new Set([1])),
      '1 is in Learners and Voters[0]',
    ],
    [
      'an outgoing voter that is a learner',
      new TrackerConfig([new Set([2]), new Set([1])], new Set([1])),
      '1 is in Learners and Voters[1]',
    ],
    [
      'a learner that is not marked',
      new TrackerConfig([new Set([1]), new Set()], new Set([2])),
      '2 is in Learners, but is not marked as learner',
    ],
    [
      'a later learner that is no outgoing voter',
      new TrackerConfig([new Set([1]), new Set([1])], new Set(), new Set([2])),
      '2 is in LearnersNext, but not Voters[1]',
    ],
    [
      'a later learner that is marked already',
      new TrackerConfig([new Set([1]), new Set([3])], new Set(), new Set([3])),
      '3 is in LearnersNext, but is already marked as learner',
    ],
    [
      'a flag of joint configurations outside of one',
      new TrackerConfig([new Set([1]), new Set()], new Set(), new Set(), true),
      'AutoLeave must be false when not joint',
    ],
  ])('refuses to start from %s', (_name, config, message) => {
    const members = tracker({ voters: [1, 2], learners: [3] });
    members.config = config;
    expect(() => simple(members, 'u1')).toThrow(new ConfChangeError(message));
  });
});

describe('restoring a configuration', () => {
  it('rebuilds a joint one with all its parts', () => {
    const state = {
      voters: [1, 2, 3],
      learners: [5],
      votersOutgoing: [1, 2, 4, 6],
      learnersNext: [4],
      autoLeave: true,
    };
    const members = tracker(state);
    expect(members.confState()).toEqual(state);
    expect(members.config.toString()).toBe(
      'voters=(1 2 3)&&(1 2 4 6) learners=(5) learners_next=(4) autoleave',
    );
    expect(progressMapToString(members.progress).split('\n')).toHaveLength(7);
  });

  it('leaves the tracker it was given alone, also when it fails', () => {
    const empty = new ProgressTracker(10, 0);
    restore({ tracker: empty, lastIndex: 1 }, { ...EMPTY, voters: [1] });
    const onlyLearners = { ...EMPTY, learners: [1] };
    expect(() => restore({ tracker: empty, lastIndex: 1 }, onlyLearners)).toThrow(ConfChangeError);
    expect([empty.config.toString(), empty.progress.size]).toEqual(['voters=()', 0]);
  });

  it('of nothing is nothing', () => {
    expect(tracker().confState()).toEqual(EMPTY);
  });
});
