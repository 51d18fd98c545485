/**
 * One Raft group on this node: the core, its log, its state machine, and who waits for what.
 *
 *   propose/read/message --> core --Ready--> sink (log batch, peers) ... --> core
 *                                   committed entries --> state machine --> whoever waits
 *
 * It does no IO of its own: what has to be written or sent goes to the sink, and comes back
 * through `deliver` once it is durable.
 */
import {
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  NONE,
  RaftError,
  type StateType,
  confChangeFromEntry,
  type ConfState,
  type Entry,
  type LogIndex,
  type Message,
  type NodeId,
  type RawNode,
  type Term,
} from '../core/index.js';
import type { GroupLog } from '../log-store/index.js';
import { HostError, HostErrorCode } from './host-error.js';
import type { HostOptions } from './options.js';
import type { CommittedEntry, GroupId, ProposalOutcome, StateMachine } from './ports.js';
import { Proposals } from './proposals.js';
import { Reads } from './reads.js';

/** Where a group's output goes during one turn. */
export interface GroupSink {
  /** Work for the log; its responses come back through `deliver` once it is durable. */
  append(group: HostedGroup, message: Message): void;
  send(group: GroupId, message: Message): void;
  /** A membership change was applied: the configuration belongs into the log. */
  confChanged(group: GroupId, index: LogIndex, confState: ConfState): void;
}

/** What the host knows of a group without knowing what its results are. */
export interface HostedGroup {
  readonly id: GroupId;
  readonly log: GroupLog;
  readonly appliedIndex: LogIndex;
  readonly hasApplyWork: boolean;
  tick(nowMs: number): void;
  collect(sink: GroupSink): void;
  applyNext(sink: GroupSink): number;
  deliver(message: Message): void;
  close(code: HostErrorCode, message: string): void;
}

export interface GroupStatus {
  readonly role: StateType;
  readonly term: Term;
  /** The leader of this term as far as this replica knows; 0 if it knows none. */
  readonly leader: NodeId;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
}

const EMPTY = new Uint8Array(0);

export class Group<Result> implements HostedGroup {
  private readonly proposals: Proposals<Result>;
  private readonly reads: Reads;
  private applyQueue: Message[] = [];
  private ticksSinceRound = 0;
  private campaignsAtOnce = true;
  private closed: { code: HostErrorCode; message: string } | undefined;

  constructor(
    readonly id: GroupId,
    private readonly node: RawNode,
    readonly log: GroupLog,
    private readonly machine: StateMachine<Result>,
    private readonly options: HostOptions,
    private readonly wake: (group: HostedGroup) => void,
    nonce: number,
  ) {
    this.proposals = new Proposals(options.proposalsMax);
    this.reads = new Reads(options.readsMax, nonce);
  }

  get appliedIndex(): LogIndex {
    return this.machine.appliedIndex;
  }

  get hasApplyWork(): boolean {
    return this.applyQueue.length > 0;
  }

  get isLeader(): boolean {
    return this.node.isLeader();
  }

  status(): GroupStatus {
    const { raft } = this.node;
    return {
      role: raft.state,
      term: raft.term,
      leader: raft.lead,
      commitIndex: raft.log.committed,
      appliedIndex: this.machine.appliedIndex,
      lastIndex: raft.log.lastIndex(),
    };
  }

  /**
   * Appends `data` to the group's log and applies it; settles with the state machine's result once
   * the entry is durable at a majority and applied here.
   * Rejects with HostError not-ready, busy, too-large, timeout, aborted, group-closed or closed.
   */
  propose(data: Uint8Array, deadlineMs: number): Promise<ProposalOutcome<Result>> {
    const refusal = this.refusal(data.length);
    if (refusal) return Promise.reject(refusal);
    try {
      this.node.propose(data);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      return Promise.reject(busy(error));
    }
    this.wake(this);
    const { raft } = this.node;
    return this.proposals.wait(raft.log.lastIndex(), raft.term, deadlineMs);
  }

  /** Settles once a read of the local state reflects every write acknowledged before this call. */
  readBarrier(deadlineMs: number): Promise<void> {
    if (this.closed) return Promise.reject(new HostError(this.closed.code, this.closed.message));
    if (this.reads.isFull) return Promise.reject(busy());
    this.wake(this);
    return this.reads.ask(deadlineMs);
  }

  tick(nowMs: number): void {
    this.proposals.expire(nowMs);
    this.reads.expire(nowMs);
    this.retryReads();
    // The only voter of a group that leads it has nobody to hear from: time changes nothing.
    if (this.isOnlyVoter && this.isLeader) return;
    this.node.tick();
    if (this.node.hasReady()) this.wake(this);
  }

  /** Hands everything the core wants done to the sink; apply work is kept for `applyNext`. */
  collect(sink: GroupSink): void {
    this.startReads();
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      for (const read of ready.readStates) this.reads.confirmed(read.requestContext, read.index);
      for (const message of ready.messages) this.route(message, sink);
    }
    if (!this.hasApplyWork) this.reads.applied(this.machine.appliedIndex);
  }

  /** Applies one portion of committed entries, tells those who waited, returns how many. */
  applyNext(sink: GroupSink): number {
    const message = this.applyQueue.shift();
    if (!message) return 0;
    this.applyEntries(message.entries, sink);
    for (const response of message.responses) this.node.step(response);
    this.reads.applied(this.machine.appliedIndex);
    this.campaignIfAlone();
    if (this.node.hasReady()) this.wake(this);
    return message.entries.length;
  }

  /** A message from a peer, or the answer of the local log. */
  deliver(message: Message): void {
    if (this.closed) return;
    try {
      this.node.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
    }
    this.wake(this);
  }

  close(code: HostErrorCode, message: string): void {
    if (this.closed) return;
    this.closed = { code, message };
    this.applyQueue = [];
    this.proposals.failAll(code, message);
    this.reads.failAll(code, message);
  }

  /** An only voter need not wait for an election timeout: nobody else can lead. */
  campaignIfAlone(): void {
    if (!this.campaignsAtOnce || !this.isOnlyVoter) return;
    // With a committed change of membership before it, an election would be refused.
    const { log } = this.node.raft;
    if (log.applied < log.committed) return;
    this.campaignsAtOnce = false;
    if (!this.isLeader) this.node.campaign();
  }

  private get isOnlyVoter(): boolean {
    const { tracker, id } = this.node.raft;
    return tracker.isSingleton() && tracker.config.voters[0].has(id);
  }

  private refusal(bytes: number): HostError | undefined {
    if (this.closed) return new HostError(this.closed.code, this.closed.message);
    if (bytes > this.options.uncommittedBytesMax) {
      return new HostError(HostErrorCode.TooLarge, 'payload is too big');
    }
    if (!this.isLeader) {
      return new HostError(HostErrorCode.NotReady, 'request dropped as the shard is not ready');
    }
    return this.proposals.isFull ? busy() : undefined;
  }

  private route(message: Message, sink: GroupSink): void {
    if (message.to === LOCAL_APPEND_THREAD) sink.append(this, message);
    else if (message.to === LOCAL_APPLY_THREAD) this.applyQueue.push(message);
    else sink.send(this.id, message);
  }

  private applyEntries(entries: readonly Entry[], sink: GroupSink): void {
    const results = this.machine.apply(entries.map(asCommitted));
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at];
      const result = results[at];
      if (entry === undefined || result === undefined) {
        throw new Error(
          `group ${this.id}: ${results.length} results for ${entries.length} entries`,
        );
      }
      // After a restart the stored configuration may be ahead of the state: it has these already.
      if (entry.type !== EntryType.Normal && entry.index > this.log.confStateIndex()) {
        const confState = this.node.applyConfChange(confChangeFromEntry(entry));
        sink.confChanged(this.id, entry.index, confState);
      }
      this.proposals.applied(entry.index, entry.term, result);
    }
  }

  private startReads(): void {
    if (!this.reads.wantsRound || !this.mayAskReads()) return;
    this.ticksSinceRound = 0;
    this.node.readIndex(this.reads.startRound());
  }

  /**
   * A new leader does not know yet how much of its log is committed: until it has committed an entry
   * of its own term, an answer could miss what was acknowledged before it was elected. The core looks
   * after that where it asks a quorum, but not for an only voter.
   */
  private mayAskReads(): boolean {
    const { raft } = this.node;
    if (!this.isLeader) return raft.lead !== NONE;
    return raft.log.termOrZero(raft.log.committed) === raft.term;
  }

  private retryReads(): void {
    if (this.reads.wantsRound) this.wake(this);
    if (!this.reads.isConfirming || ++this.ticksSinceRound < this.options.readRetryTicks) return;
    this.ticksSinceRound = 0;
    if (this.mayAskReads()) this.node.readIndex(this.reads.retryRound());
    this.wake(this);
  }
}

function asCommitted(entry: Entry): CommittedEntry {
  return { index: entry.index, data: entry.type === EntryType.Normal ? entry.data : EMPTY };
}

function busy(cause?: unknown): HostError {
  return new HostError(HostErrorCode.Busy, 'system is too busy try again later', { cause });
}
