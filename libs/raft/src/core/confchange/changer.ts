/**
 * From the active configuration and a list of changes to the next configuration.
 *
 *   simple:     at most one voter changes; effective at once
 *   enterJoint: any change; both the old and the new voters have to agree until
 *   leaveJoint: the new voters alone remain
 *
 * Nothing is changed in place: what comes back is fresh, or a ConfChangeError says why not.
 */
import { jointIds } from '../quorum/joint.js';
import { Inflights } from '../tracker/inflights.js';
import { Progress, type ProgressMap } from '../tracker/progress.js';
import { TrackerConfig, type ProgressTracker } from '../tracker/tracker.js';
import type { LogIndex, NodeId } from '../types.js';
import { ConfChangeType, type ConfChangeSingle } from './types.js';

/** A change that the active configuration does not allow. */
export class ConfChangeError extends Error {
  readonly code = 'conf-change-refused';
  readonly retryable = false;

  constructor(message: string) {
    super(message);
    this.name = 'ConfChangeError';
  }
}

export interface ChangeResult {
  readonly config: TrackerConfig;
  readonly progress: ReadonlyMap<NodeId, Progress>;
}

/** The next configuration while it is being made. */
interface Draft {
  incoming: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  autoLeave: boolean;
  progress: ProgressMap;
}

export class Changer {
  /** `lastIndex` is where new members are probed from. */
  constructor(
    private readonly tracker: ProgressTracker,
    private readonly lastIndex: LogIndex,
  ) {}

  /** Throws ConfChangeError if more than one voter would change, or none would be left. */
  simple(changes: readonly ConfChangeSingle[]): ChangeResult {
    const draft = this.draft();
    if (draft.outgoing.size > 0) {
      throw new ConfChangeError("can't apply simple config change in joint config");
    }
    this.apply(draft, changes);
    const before = this.tracker.config.voters[0];
    if (symmetricDifference(before, draft.incoming) > 1) {
      throw new ConfChangeError('more than one voter changed without entering joint config');
    }
    return finish(draft);
  }

  /** Throws ConfChangeError in a joint or an empty configuration, or if no voter would be left. */
  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): ChangeResult {
    const draft = this.draft();
    if (draft.outgoing.size > 0) throw new ConfChangeError('config is already joint');
    if (draft.incoming.size === 0) {
      throw new ConfChangeError("can't make a zero-voter config joint");
    }
    draft.outgoing = new Set(draft.incoming);
    this.apply(draft, changes);
    draft.autoLeave = autoLeave;
    return finish(draft);
  }

  /** Throws ConfChangeError outside a joint configuration. */
  leaveJoint(): ChangeResult {
    const draft = this.draft();
    if (draft.outgoing.size === 0) throw new ConfChangeError("can't leave a non-joint config");
    for (const id of draft.learnersNext) {
      draft.learners.add(id);
      const progress = draft.progress.get(id);
      if (progress) progress.isLearner = true;
    }
    draft.learnersNext.clear();
    for (const id of draft.outgoing) {
      if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);
    }
    draft.outgoing = new Set();
    draft.autoLeave = false;
    return finish(draft);
  }

  private draft(): Draft {
    const { config, progress } = this.tracker;
    const draft = {
      incoming: new Set(config.voters[0]),
      outgoing: new Set(config.voters[1]),
      learners: new Set(config.learners),
      learnersNext: new Set(config.learnersNext),
      autoLeave: config.autoLeave,
      progress: new Map([...progress].map(([id, each]) => [id, each.clone()])),
    };
    checkInvariants(draft);
    return draft;
  }

  private apply(draft: Draft, changes: readonly ConfChangeSingle[]): void {
    for (const { type, nodeId } of changes) {
      // A proposal that was refused when it was applied leaves the id 0 behind.
      if (nodeId === 0) continue;
      switch (type) {
        case ConfChangeType.AddNode:
          this.makeVoter(draft, nodeId);
          break;
        case ConfChangeType.AddLearnerNode:
          this.makeLearner(draft, nodeId);
          break;
        case ConfChangeType.RemoveNode:
          remove(draft, nodeId);
          break;
        case ConfChangeType.UpdateNode:
          break;
      }
    }
    if (draft.incoming.size === 0) throw new ConfChangeError('removed all voters');
  }

  private makeVoter(draft: Draft, id: NodeId): void {
    const progress = draft.progress.get(id);
    if (progress) {
      progress.isLearner = false;
      draft.learners.delete(id);
      draft.learnersNext.delete(id);
    } else {
      this.addProgress(draft, id, false);
    }
    draft.incoming.add(id);
  }

  /** An outgoing voter stays one until the joint configuration is left. */
  private makeLearner(draft: Draft, id: NodeId): void {
    const progress = draft.progress.get(id);
    if (!progress) {
      this.addProgress(draft, id, true);
      draft.learners.add(id);
      return;
    }
    if (progress.isLearner) return;
    remove(draft, id);
    draft.progress.set(id, progress);
    if (draft.outgoing.has(id)) {
      draft.learnersNext.add(id);
    } else {
      progress.isLearner = true;
      draft.learners.add(id);
    }
  }

  private addProgress(draft: Draft, id: NodeId, isLearner: boolean): void {
    const { inflightMessagesMax, inflightBytesMax } = this.tracker;
    draft.progress.set(
      id,
      new Progress({
        match: 0,
        // The newest entry is the best guess; it also makes a new member ask for what it lacks.
        next: Math.max(this.lastIndex, 1),
        inflights: new Inflights(inflightMessagesMax, inflightBytesMax),
        isLearner,
        // Or the next check of the quorum would count it as gone before it could be heard of.
        recentActive: true,
      }),
    );
  }
}

function remove(draft: Draft, id: NodeId): void {
  if (!draft.progress.has(id)) return;
  draft.incoming.delete(id);
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  if (!draft.outgoing.has(id)) draft.progress.delete(id);
}

function finish(draft: Draft): ChangeResult {
  checkInvariants(draft);
  const { incoming, outgoing, learners, learnersNext, autoLeave, progress } = draft;
  const config = new TrackerConfig([incoming, outgoing], learners, learnersNext, autoLeave);
  return { config, progress };
}

/** A configuration that breaks one of these was not made by this file: the state is damaged. */
function checkInvariants(draft: Draft): void {
  const { incoming, outgoing, learners, learnersNext, autoLeave, progress } = draft;
  const all = [...jointIds([incoming, outgoing]), ...learners, ...learnersNext];
  for (const id of all) {
    if (!progress.has(id)) throw new ConfChangeError(`no progress for ${id}`);
  }
  for (const id of learnersNext) {
    if (!outgoing.has(id)) throw new ConfChangeError(`${id} is in LearnersNext, but not Voters[1]`);
    if (progress.get(id)?.isLearner) {
      throw new ConfChangeError(`${id} is in LearnersNext, but is already marked as learner`);
    }
  }
  for (const id of learners) {
    if (outgoing.has(id)) throw new ConfChangeError(`${id} is in Learners and Voters[1]`);
    if (incoming.has(id)) throw new ConfChangeError(`${id} is in Learners and Voters[0]`);
    if (!progress.get(id)?.isLearner) {
      throw new ConfChangeError(`${id} is in Learners, but is not marked as learner`);
    }
  }
  if (outgoing.size > 0) return;
  if (learnersNext.size > 0)
    throw new ConfChangeError('cfg.LearnersNext must be nil when not joint');
  if (autoLeave) throw new ConfChangeError('AutoLeave must be false when not joint');
}

function symmetricDifference(a: ReadonlySet<NodeId>, b: ReadonlySet<NodeId>): number {
  let count = 0;
  for (const id of a) if (!b.has(id)) count++;
  for (const id of b) if (!a.has(id)) count++;
  return count;
}
