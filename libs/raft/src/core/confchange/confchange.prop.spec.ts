import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { progressMapToString } from '../tracker/progress.js';
import { ProgressTracker } from '../tracker/tracker.js';
import type { ConfState } from '../types.js';
import { Changer, ConfChangeError, type ChangeResult } from './changer.js';
import { restore } from './restore.js';
import {
  ConfChangeDecodeError,
  ConfChangeTransition,
  ConfChangeType,
  decodeConfChange,
  decodeConfChangeV2,
  encodeConfChange,
  encodeConfChangeV2,
  type ConfChangeSingle,
} from './types.js';

const IDS_MAX = 9;
const type = fc.constantFrom(...Object.values(ConfChangeType));
const change = fc.record({ type, nodeId: fc.integer({ min: 0, max: IDS_MAX }) });
const changes = fc.array(change, { maxLength: 8 });
/** Founding members: at least one voter. */
const founders = fc.uniqueArray(fc.integer({ min: 1, max: IDS_MAX }), {
  minLength: 1,
  maxLength: 5,
});

/** Each id has at most one role in the incoming and one in the outgoing half. */
const confState: fc.Arbitrary<ConfState> = fc
  .record({
    roles: fc.array(
      fc.tuple(
        fc.constantFrom('voter', 'learner', 'none'),
        fc.constantFrom('outgoing', 'outgoing-then-learner', 'none'),
      ),
      { minLength: 1, maxLength: IDS_MAX },
    ),
    isJoint: fc.boolean(),
    autoLeave: fc.boolean(),
  })
  .map(({ roles, isJoint, autoLeave }) => {
    const voters: number[] = [];
    const learners: number[] = [];
    const votersOutgoing: number[] = [];
    const learnersNext: number[] = [];
    roles.forEach(([incoming, outgoing], at) => {
      const isOutgoing = isJoint && outgoing !== 'none';
      if (isOutgoing) votersOutgoing.push(at + 1);
      if (incoming === 'voter') voters.push(at + 1);
      else if (isOutgoing && outgoing === 'outgoing-then-learner') learnersNext.push(at + 1);
      else if (!isOutgoing && incoming === 'learner') learners.push(at + 1);
    });
    return {
      voters: voters.length === 0 ? [roles.length + 1] : voters,
      learners,
      votersOutgoing,
      learnersNext,
      autoLeave: autoLeave && votersOutgoing.length > 0,
    };
  });

function take(tracker: ProgressTracker, { config, progress }: ChangeResult): void {
  tracker.config = config;
  tracker.progress = progress;
}

function founded(ids: readonly number[]): ProgressTracker {
  const tracker = new ProgressTracker(10, 0);
  for (const nodeId of ids) {
    const add = { type: ConfChangeType.AddNode, nodeId };
    take(tracker, new Changer(tracker, 10).simple([add]));
  }
  return tracker;
}

function textOf(tracker: ProgressTracker): string {
  return `${tracker.config.toString()}\n${progressMapToString(tracker.progress)}`;
}

/** Runs `step` unless the configuration does not allow it; returns whether it was allowed. */
function attempt(tracker: ProgressTracker, step: () => ChangeResult): boolean {
  try {
    take(tracker, step());
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(ConfChangeError);
    return false;
  }
}

function expectSound(tracker: ProgressTracker): void {
  const { voters, learners, learnersNext } = tracker.config;
  const ids = new Set([...voters[0], ...voters[1], ...learners]);
  expect(new Set(tracker.progress.keys())).toEqual(ids);
  expect(voters[0].size).toBeGreaterThan(0);
  for (const [id, { isLearner }] of tracker.progress) expect(isLearner).toBe(learners.has(id));
  for (const id of learners) expect(voters[0].has(id) || voters[1].has(id)).toBe(false);
  for (const id of learnersNext)
    expect([voters[0].has(id), voters[1].has(id)]).toEqual([false, true]);
}

describe('membership changes', () => {
  it('reach through a joint configuration what the same simple changes reach', () => {
    fc.assert(
      fc.property(founders, changes, fc.boolean(), (ids, all, autoLeave) => {
        const oneByOne = founded(ids);
        const legal = all.filter((each) =>
          attempt(oneByOne, () => new Changer(oneByOne, 10).simple([each])),
        );
        const atOnce = founded(ids);
        take(atOnce, new Changer(atOnce, 10).enterJoint(autoLeave, legal));
        expectSound(atOnce);
        expect(atOnce.config.autoLeave).toBe(autoLeave);
        take(atOnce, new Changer(atOnce, 10).leaveJoint());
        expect(textOf(atOnce)).toBe(textOf(oneByOne));
      }),
    );
  });

  it('that only add voters are undone by their removal, joint or simple', () => {
    fc.assert(
      fc.property(founders, founders, (ids, more) => {
        const tracker = founded(ids);
        const before = textOf(tracker);
        const added = more.filter((id) => !ids.includes(id));
        const all = (of: ConfChangeType): ConfChangeSingle[] =>
          added.map((nodeId) => ({ type: of, nodeId }));
        take(tracker, new Changer(tracker, 10).enterJoint(false, all(ConfChangeType.AddNode)));
        take(tracker, new Changer(tracker, 10).leaveJoint());
        for (const each of all(ConfChangeType.RemoveNode)) {
          take(tracker, new Changer(tracker, 10).simple([each]));
        }
        expect(textOf(tracker)).toBe(before);
      }),
    );
  });

  it('leave a sound configuration behind, or the one before and a named error', () => {
    const step = fc.record({
      kind: fc.constantFrom('simple' as const, 'enter' as const, 'leave' as const),
      changes,
    });
    fc.assert(
      fc.property(founders, fc.array(step, { maxLength: 20 }), (ids, steps) => {
        const tracker = founded(ids);
        for (const { kind, changes: all } of steps) {
          const before = textOf(tracker);
          const changer = new Changer(tracker, 10);
          const allowed = attempt(tracker, () => {
            if (kind === 'simple') return changer.simple(all);
            return kind === 'enter' ? changer.enterJoint(false, all) : changer.leaveJoint();
          });
          if (!allowed) expect(textOf(tracker)).toBe(before);
          expectSound(tracker);
        }
      }),
    );
  });

  it('by simple changes move the voters by one at most, so that majorities overlap', () => {
    fc.assert(
      fc.property(founders, changes, (ids, all) => {
        const tracker = founded(ids);
        const before = tracker.config.voters[0];
        if (!attempt(tracker, () => new Changer(tracker, 10).simple(all))) return;
        const after = tracker.config.voters[0];
        const moved = [...before].filter((id) => !after.has(id)).length;
        const came = [...after].filter((id) => !before.has(id)).length;
        expect(moved + came).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('restoring', () => {
  it('gives back the configuration it was asked for, also from what it gave back', () => {
    fc.assert(
      fc.property(confState, fc.nat({ max: 100 }), (state, lastIndex) => {
        const first = new ProgressTracker(10, 0);
        take(first, restore({ tracker: first, lastIndex }, state));
        expect(first.confState()).toEqual(state);
        expectSound(first);
        const second = new ProgressTracker(10, 0);
        take(second, restore({ tracker: second, lastIndex }, first.confState()));
        expect(textOf(second)).toBe(textOf(first));
      }),
    );
  });

  it('does not depend on the order of ids', () => {
    const shuffled = confState.chain((state) =>
      fc.record({
        state: fc.constant(state),
        voters: fc.shuffledSubarray([...state.voters], { minLength: state.voters.length }),
        votersOutgoing: fc.shuffledSubarray([...state.votersOutgoing], {
          minLength: state.votersOutgoing.length,
        }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ state, voters, votersOutgoing }) => {
        const tracker = new ProgressTracker(10, 0);
        take(tracker, restore({ tracker, lastIndex: 1 }, { ...state, voters, votersOutgoing }));
        expect(tracker.confState()).toEqual(state);
      }),
    );
  });
});

describe('the wire form', () => {
  const context = fc.uint8Array({ maxLength: 20 });
  const nodeId = fc.maxSafeNat();

  it('of both versions comes back as it was', () => {
    const v1 = fc.record({ type, nodeId, context });
    fc.assert(
      fc.property(
        v1,
        (each) => void expect(decodeConfChange(encodeConfChange(each))).toEqual(each),
      ),
    );
    const transition = fc.constantFrom(...Object.values(ConfChangeTransition));
    const singles = fc.array(fc.record({ type, nodeId }), { maxLength: 8 });
    const v2 = fc.record({ transition, changes: singles, context });
    fc.assert(
      fc.property(
        v2,
        (each) => void expect(decodeConfChangeV2(encodeConfChangeV2(each))).toEqual(each),
      ),
    );
  });

  it('of any bytes is a change or a named error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        for (const decode of [decodeConfChange, decodeConfChangeV2]) {
          try {
            decode(data);
          } catch (error) {
            expect(error).toBeInstanceOf(ConfChangeDecodeError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
