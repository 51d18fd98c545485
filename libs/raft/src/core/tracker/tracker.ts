/**
 * Who belongs to the group, how far each member is, and how the running election stands.
 *
 * In: configurations from `confchange/`, progress as the leader learns it, votes. Out: the committed
 * index, the result of a vote, whether a quorum was heard of.
 */
import {
  jointCommittedIndex,
  jointIds,
  jointToString,
  jointVoteResult,
  type JointConfig,
} from '../quorum/joint.js';
import { majorityToString, sortedIds, type VoteResult } from '../quorum/majority.js';
import type { ConfState, LogIndex, NodeId } from '../types.js';
import { Inflights } from './inflights.js';
import { Progress, type ProgressMap } from './progress.js';

/** The active configuration. No id is both a voter and a learner. */
export class TrackerConfig {
  constructor(
    readonly voters: JointConfig = [new Set(), new Set()],
    readonly learners: ReadonlySet<NodeId> = new Set(),
    /** Outgoing voters that become learners when the joint configuration is left. */
    readonly learnersNext: ReadonlySet<NodeId> = new Set(),
    /** Leave the joint configuration as soon as entering it is applied. */
    readonly autoLeave = false,
  ) {}

  clone(): TrackerConfig {
    return new TrackerConfig(
      [new Set(this.voters[0]), new Set(this.voters[1])],
      new Set(this.learners),
      new Set(this.learnersNext),
      this.autoLeave,
    );
  }

  /** `voters=(1 2 3)&&(1 2) learners=(4) learners_next=(5) autoleave`. */
  toString(): string {
    let text = `voters=${jointToString(this.voters)}`;
    if (this.learners.size > 0) text += ` learners=${majorityToString(this.learners)}`;
    if (this.learnersNext.size > 0) text += ` learners_next=${majorityToString(this.learnersNext)}`;
    if (this.autoLeave) text += ' autoleave';
    return text;
  }
}

export interface VoteTally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

export class ProgressTracker {
  config = new TrackerConfig();
  private members: ProgressMap = new Map();
  private order: readonly NodeId[] = [];
  private votes = new Map<NodeId, boolean>();
  private readonly matchOf = (id: NodeId): LogIndex | undefined => this.members.get(id)?.match;

  constructor(
    readonly inflightMessagesMax: number,
    readonly inflightBytesMax: number,
  ) {}

  get progress(): ReadonlyMap<NodeId, Progress> {
    return this.members;
  }

  /** Members come and go only by a whole new map, so that the order of visits stays right. */
  set progress(members: ReadonlyMap<NodeId, Progress>) {
    this.members = new Map(members);
    this.order = sortedIds(members.keys());
  }

  confState(): ConfState {
    const { voters, learners, learnersNext, autoLeave } = this.config;
    return {
      voters: sortedIds(voters[0]),
      learners: sortedIds(learners),
      votersOutgoing: sortedIds(voters[1]),
      learnersNext: sortedIds(learnersNext),
      autoLeave,
    };
  }

  /** Exactly one voter, and no change of membership under way. */
  isSingleton(): boolean {
    return this.config.voters[0].size === 1 && this.config.voters[1].size === 0;
  }

  /** The highest index that the needed majorities have. */
  committed(): LogIndex {
    return jointCommittedIndex(this.config.voters, this.matchOf);
  }

  /** Calls `visitor` for every member, in the order of ids. */
  visit(visitor: (id: NodeId, progress: Progress) => void): void {
    for (const id of this.order) {
      const progress = this.members.get(id);
      if (progress !== undefined) visitor(id, progress);
    }
  }

  /** Whether a quorum, this leader included, was heard of since the marks were last cleared. */
  quorumActive(): boolean {
    const active = new Map<NodeId, boolean>();
    this.visit((id, progress) => {
      if (!progress.isLearner) active.set(id, progress.recentActive);
    });
    return jointVoteResult(this.config.voters, active) === 'won';
  }

  voterNodes(): NodeId[] {
    return sortedIds(jointIds(this.config.voters));
  }

  learnerNodes(): NodeId[] {
    return sortedIds(this.config.learners);
  }

  /** Nothing is known of the members any more, but that `own` has the log up to `lastIndex`. */
  resetProgress(lastIndex: LogIndex, own: NodeId): void {
    for (const [id, { isLearner }] of this.members) {
      this.members.set(
        id,
        new Progress({
          match: id === own ? lastIndex : 0,
          next: lastIndex + 1,
          inflights: new Inflights(this.inflightMessagesMax, this.inflightBytesMax),
          isLearner,
          recentActive: false,
        }),
      );
    }
  }

  resetVotes(): void {
    this.votes = new Map();
  }

  /** The first vote of a member counts. */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.votes.has(id)) this.votes.set(id, granted);
  }

  tallyVotes(): VoteTally {
    let granted = 0;
    let rejected = 0;
    for (const [id, progress] of this.members) {
      const vote = this.votes.get(id);
      if (progress.isLearner || vote === undefined) continue;
      if (vote) granted++;
      else rejected++;
    }
    return { granted, rejected, result: jointVoteResult(this.config.voters, this.votes) };
  }
}
