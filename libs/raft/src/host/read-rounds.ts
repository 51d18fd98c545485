/**
 * When the reads of a group may ask the core for an index, and when they ask again.
 *
 * In: reads that wait, ticks, what the core knows. Out: rounds of ReadIndex, one at a time, at the
 * end of a turn. A round is never started where its answer could miss an acknowledged write.
 */
import { NONE, type RawNode } from '../core/index.js';
import type { Reads } from './reads.js';

export class ReadRounds {
  private ticksSinceRound = 0;

  constructor(
    private readonly node: RawNode,
    private readonly reads: Reads,
    private readonly retryTicks: number,
  ) {}

  /**
   * A new leader does not know yet how much of its log is committed: until it has committed an entry
   * of its own term, an answer could miss what was acknowledged before it was elected. The core looks
   * after that where it asks a quorum, but not for an only voter.
   */
  get mayAsk(): boolean {
    const { raft } = this.node;
    if (!this.node.isLeader()) return raft.lead !== NONE;
    return raft.log.termOrZero(raft.log.committed) === raft.term;
  }

  /** At the end of a turn: one round for all that have asked. */
  start(): void {
    if (!this.reads.wantsRound || !this.mayAsk) return;
    this.ticksSinceRound = 0;
    this.node.readIndex(this.reads.startRound());
  }

  /** Whether there is something to collect: reads that wait for a round, or one that is asked again. */
  tick(): boolean {
    const { reads } = this;
    if (!reads.isConfirming || ++this.ticksSinceRound < this.retryTicks) return reads.wantsRound;
    this.ticksSinceRound = 0;
    if (this.mayAsk) this.node.readIndex(reads.retryRound());
    return true;
  }
}
