import { describe, expect, it } from 'vitest';
import { RaftInvariantError } from '../errors.js';
import { Inflights } from './inflights.js';
import { Progress, progressMapToString, type ProgressState } from './progress.js';

function progress(match: number, next: number, state: ProgressState = 'StateProbe'): Progress {
  const made = new Progress({
    match,
    next,
    inflights: new Inflights(2, 0),
    isLearner: false,
    recentActive: true,
  });
  made.state = state;
  return made;
}

describe('the progress of a member', () => {
  it('is written with what is out of the ordinary', () => {
    const member = new Progress({
      match: 1,
      next: 2,
      inflights: new Inflights(1, 0),
      isLearner: true,
      recentActive: false,
    });
    expect(member.toString()).toBe('StateProbe match=1 next=2 learner inactive');
    member.becomeReplicate();
    member.sentEntries(1, 10);
    member.recentActive = true;
    expect(member.toString()).toBe('StateReplicate match=1 next=3 learner paused inflight=1[full]');
    member.becomeSnapshot(12);
    member.isLearner = false;
    member.recentActive = false;
    const text = 'StateSnapshot match=1 next=13 paused pendingSnap=12 inactive';
    expect(member.toString()).toBe(text);
    expect(
      progressMapToString(
        new Map([
          [10, member],
          [9, progress(0, 1)],
        ]),
      ),
    ).toBe(`9: StateProbe match=0 next=1\n10: ${text}\n`);
  });

  it.each([
    ['StateProbe', false, false],
    ['StateProbe', true, true],
    ['StateReplicate', false, false],
    ['StateReplicate', true, true],
    ['StateSnapshot', false, true],
    ['StateSnapshot', true, true],
  ] as const)('in %s with a stopped flow %s is paused: %s', (state, stopped, paused) => {
    const member = progress(1, 2, state);
    member.msgAppFlowPaused = stopped;
    expect(member.isPaused()).toBe(paused);
  });

  it('probes after its match, or after the snapshot it was sent if that is further', () => {
    const replicating = progress(3, 9, 'StateReplicate');
    replicating.sentCommit = 8;
    replicating.becomeProbe();
    expect([replicating.next, replicating.sentCommit]).toEqual([4, 3]);

    const delivered = progress(3, 4);
    delivered.becomeSnapshot(10);
    expect([delivered.next, delivered.sentCommit]).toEqual([11, 10]);
    delivered.becomeProbe();
    expect([delivered.next, delivered.pendingSnapshot, delivered.state]).toEqual([
      11,
      0,
      'StateProbe',
    ]);

    const failed = progress(3, 4);
    failed.becomeSnapshot(10);
    failed.pendingSnapshot = 0;
    failed.becomeProbe();
    expect([failed.next, failed.sentCommit]).toEqual([4, 3]);
  });

  it('starts each state with a clean flow', () => {
    for (const change of ['becomeProbe', 'becomeReplicate'] as const) {
      const member = progress(1, 2, 'StateReplicate');
      member.sentEntries(1, 1);
      member.sentEntries(1, 1);
      expect([member.isPaused(), member.inflights.count()]).toEqual([true, 2]);
      member[change]();
      expect([member.isPaused(), member.inflights.count(), member.next]).toEqual([false, 0, 2]);
    }
  });

  it('sends one message with entries while it probes, and any number without', () => {
    const member = progress(1, 2);
    member.sentEntries(0, 0);
    expect(member.isPaused()).toBe(false);
    member.sentEntries(3, 30);
    expect([member.isPaused(), member.next]).toEqual([true, 2]);
  });

  it('is optimistic while it replicates, until its window is full', () => {
    const member = progress(1, 2, 'StateReplicate');
    member.sentEntries(3, 30);
    expect([member.next, member.isPaused()]).toEqual([5, false]);
    member.sentEntries(2, 20);
    expect([member.next, member.isPaused()]).toEqual([7, true]);
    // A heartbeat's answer lets an empty message through, which closes the flow again.
    member.msgAppFlowPaused = false;
    member.sentEntries(0, 0);
    expect([member.next, member.isPaused()]).toEqual([7, true]);
  });

  it('is never sent entries while it waits for a snapshot', () => {
    expect(() => progress(1, 2, 'StateSnapshot').sentEntries(1, 1)).toThrow(RaftInvariantError);
  });

  it('goes forward on acknowledgements only', () => {
    const member = progress(3, 5);
    member.msgAppFlowPaused = true;
    expect([member.maybeUpdate(2), member.maybeUpdate(3)]).toEqual([false, false]);
    expect([member.match, member.next, member.isPaused()]).toEqual([3, 5, true]);
    expect(member.maybeUpdate(4)).toBe(true);
    expect([member.match, member.next, member.isPaused()]).toEqual([4, 5, false]);
    expect(member.maybeUpdate(9)).toBe(true);
    expect([member.match, member.next]).toEqual([9, 10]);
  });

  it.each<[ProgressState, number, number, number, number, boolean, number]>([
    // state, match, next, rejected, hint, news, next after
    ['StateReplicate', 5, 10, 5, 5, false, 10],
    ['StateReplicate', 5, 10, 4, 4, false, 10],
    ['StateReplicate', 5, 10, 9, 9, true, 6],
    ['StateProbe', 0, 0, 0, 0, false, 0],
    ['StateProbe', 0, 10, 5, 5, false, 10],
    ['StateProbe', 0, 10, 9, 9, true, 9],
    ['StateProbe', 0, 2, 1, 1, true, 1],
    ['StateProbe', 0, 1, 0, 0, true, 1],
    ['StateProbe', 0, 10, 9, 2, true, 3],
    ['StateProbe', 0, 10, 9, 0, true, 1],
    ['StateProbe', 5, 10, 9, 2, true, 6],
  ])(
    '%s match=%i next=%i, rejected %i with hint %i',
    (state, match, next, rejected, hint, ...rest) => {
      const [news, after] = rest;
      const member = progress(match, next, state);
      member.sentCommit = next;
      member.msgAppFlowPaused = true;
      expect(member.maybeDecrTo(rejected, hint)).toBe(news);
      expect(member.next).toBe(after);
      if (news) expect(member.sentCommit).toBeLessThan(member.next);
      if (news && state === 'StateProbe') expect(member.msgAppFlowPaused).toBe(false);
    },
  );

  it('is told of a commit index only as far as its log goes', () => {
    const member = progress(3, 6, 'StateReplicate');
    member.sentCommitIndex(3);
    expect([member.canBumpCommit(3), member.canBumpCommit(4), member.canBumpCommit(9)]).toEqual([
      false,
      true,
      true,
    ]);
    member.sentCommitIndex(5);
    // It may be told 5 at most, which it was.
    expect(member.canBumpCommit(9)).toBe(false);
  });

  it('has clones that do not share anything', () => {
    const member = progress(1, 2);
    member.becomeSnapshot(9);
    member.msgAppFlowPaused = true;
    const copy = member.clone();
    expect(copy).toEqual(member);
    member.becomeReplicate();
    member.sentEntries(1, 1);
    expect(copy.toString()).toBe('StateSnapshot match=1 next=10 paused pendingSnap=9');
  });
});
