/**
 * What the leader knows of one member: how far its log agrees, and how fast it may be fed.
 *
 *                      +--- unreachable, or an append was rejected ---+
 *                      v                                              |
 *              +----------------+   an append was accepted   +------------------+
 *         ---> |  StateProbe    | -------------------------> |  StateReplicate  |
 *              | one message a  |                            | a window of them |
 *              | heartbeat      |                            +------------------+
 *              +----------------+
 *                |            ^
 *   log too short|            | snapshot delivered or failed
 *                v            |
 *              +----------------+
 *              | StateSnapshot  |  nothing is sent
 *              +----------------+
 */
import { RaftInvariantError } from '../errors.js';
import { sortedIds } from '../quorum/majority.js';
import type { LogIndex, NodeId } from '../types.js';
import type { Inflights } from './inflights.js';

export type ProgressState = 'StateProbe' | 'StateReplicate' | 'StateSnapshot';

export class Progress {
  /** Highest index up to which the member's log is known to agree. */
  match: LogIndex;
  /** First index to be sent next; above `match`. */
  next: LogIndex;
  /** Highest commit index that was sent in an append or heartbeat. */
  sentCommit: LogIndex = 0;
  state: ProgressState = 'StateProbe';
  /** Index of the snapshot that is on its way; StateSnapshot only. */
  pendingSnapshot: LogIndex = 0;
  /** Heard of since the last check of the quorum. */
  recentActive: boolean;
  /** Nothing more is sent before the next heartbeat answer. */
  msgAppFlowPaused = false;
  inflights: Inflights;
  isLearner: boolean;

  constructor(fields: {
    match: LogIndex;
    next: LogIndex;
    inflights: Inflights;
    isLearner: boolean;
    recentActive: boolean;
  }) {
    this.match = fields.match;
    this.next = fields.next;
    this.inflights = fields.inflights;
    this.isLearner = fields.isLearner;
    this.recentActive = fields.recentActive;
  }

  becomeProbe(): void {
    // A delivered snapshot is where the member's log begins now, whatever it acknowledged.
    const afterSnapshot = this.state === 'StateSnapshot' ? this.pendingSnapshot + 1 : 0;
    this.resetState('StateProbe');
    this.next = Math.max(this.match + 1, afterSnapshot);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.resetState('StateReplicate');
    this.next = this.match + 1;
  }

  becomeSnapshot(index: LogIndex): void {
    this.resetState('StateSnapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** An append with `entries` entries and `bytes` of payload was sent. */
  sentEntries(entries: number, bytes: number): void {
    if (this.state === 'StateReplicate') {
      if (entries > 0) {
        this.next += entries;
        this.inflights.add(this.next - 1, bytes);
      }
      // A full window lets one message through per heartbeat, to find out what was lost.
      this.msgAppFlowPaused = this.inflights.full();
      return;
    }
    if (this.state !== 'StateProbe') {
      throw new RaftInvariantError(`entries were sent in ${this.state}`);
    }
    if (entries > 0) this.msgAppFlowPaused = true;
  }

  /** Whether the member should be told of the commit index `index`. */
  canBumpCommit(index: LogIndex): boolean {
    // It cannot know more of the commit index than of the log.
    return index > this.sentCommit && this.sentCommit < this.next - 1;
  }

  sentCommitIndex(commit: LogIndex): void {
    this.sentCommit = commit;
  }

  /** The member's log agrees up to `index`; false if that was known. */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.msgAppFlowPaused = false;
    return true;
  }

  /**
   * The append before `rejected` + 1 was refused, and the logs may agree at `matchHint`. Returns
   * false if this is an old answer that says nothing any more.
   */
  maybeDecrTo(rejected: LogIndex, matchHint: LogIndex): boolean {
    if (this.state === 'StateReplicate') {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1);
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.msgAppFlowPaused = false;
    return true;
  }

  /** Whether nothing may be sent now. */
  isPaused(): boolean {
    return this.state === 'StateSnapshot' || this.msgAppFlowPaused;
  }

  resetState(state: ProgressState): void {
    this.msgAppFlowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  clone(): Progress {
    const copy = new Progress({
      match: this.match,
      next: this.next,
      inflights: this.inflights.clone(),
      isLearner: this.isLearner,
      recentActive: this.recentActive,
    });
    copy.sentCommit = this.sentCommit;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.msgAppFlowPaused = this.msgAppFlowPaused;
    return copy;
  }

  toString(): string {
    let text = `${this.state} match=${this.match} next=${this.next}`;
    if (this.isLearner) text += ' learner';
    if (this.isPaused()) text += ' paused';
    if (this.pendingSnapshot > 0) text += ` pendingSnap=${this.pendingSnapshot}`;
    if (!this.recentActive) text += ' inactive';
    const inflight = this.inflights.count();
    if (inflight > 0) text += ` inflight=${inflight}${this.inflights.full() ? '[full]' : ''}`;
    return text;
  }
}

export type ProgressMap = Map<NodeId, Progress>;

/** One line per member, in the order of ids. */
export function progressMapToString(map: ReadonlyMap<NodeId, Progress>): string {
  return sortedIds(map.keys())
    .map((id) => `${id}: ${map.get(id)?.toString() ?? ''}\n`)
    .join('');
}
