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
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MessageType,
  NONE,
  RaftError,
  StorageError,
  ConfChangeType,
  type ConfChange,
  type ConfChangeV2,
  type ConfState,
  type LogIndex,
  type Message,
  type NodeId,
  type RawNode,
  type SnapshotMetadata,
  type Term,
} from '../core/index.js';
import { newMessage } from '../core/message.js';
import type { GroupLog } from '../log-store/index.js';
import { appliedEntries } from './applied-log.js';
import {
  groupStatus,
  memberProgress,
  type GroupStatus,
  type MemberProgress,
} from './group-status.js';
import { FormerMembers } from './former-members.js';
import { Applier, asCommitted } from './applier.js';
import { Haste, hasteTicks } from './haste.js';
import { mayFollowToSleep, whomToTell } from './hibernation.js';
import type { GroupSignals, GroupSink, HostedGroup } from './hosted-group.js';
import { HostError, HostErrorCode } from './host-error.js';
import type { HostOptions } from './options.js';
import type { GroupId, ProposalOutcome, StateMachine, ToldEntry } from './ports.js';
import { Proposals, type AddedProposal, type ProposalWaiter } from './proposals.js';
import { ReadRounds } from './read-rounds.js';
import { Reads } from './reads.js';
import { SnapshotSends } from './snapshot-sends.js';
import { Waits } from './waits.js';

const EMPTY = new Uint8Array(0);
const NOT_READY = 'request dropped as the shard is not ready';
const SNAPSHOT_MESSAGE = newMessage(MessageType.Snap, NONE);

export class Group<Result> implements HostedGroup {
  private readonly proposals: Proposals<Result>;
  private readonly applier: Applier<Result>;
  private readonly reads: Reads;
  private readonly rounds: ReadRounds;
  private readonly leaderWaits: Waits;
  private readonly appliedWaits: Waits;
  private readonly snapshots: SnapshotSends;
  private readonly haste = new Haste();
  private readonly former = new FormerMembers();
  private idleTicks = 0;
  private asleep = false;
  private campaignsAtOnce = true;
  private closed: { code: HostErrorCode; message: string } | undefined;

  constructor(
    readonly id: GroupId,
    private readonly node: RawNode,
    readonly log: GroupLog,
    private readonly machine: StateMachine<Result>,
    private readonly options: HostOptions,
    private readonly signals: GroupSignals,
    nonce: number,
  ) {
    this.proposals = new Proposals(options.proposalsMax);
    this.applier = new Applier(id, node, log, machine, this.proposals, this.former, () =>
      signals.observer(),
    );
    this.reads = new Reads(options.readsMax, nonce);
    this.rounds = new ReadRounds(node, this.reads, options.readRetryTicks);
    this.leaderWaits = new Waits(options.waitersMax);
    this.appliedWaits = new Waits(options.waitersMax);
    this.snapshots = new SnapshotSends(options.snapshotIdleTicks);
    log.setSnapshotProvider(() => ({ data: EMPTY, metadata: this.snapshotMetadata() }));
  }

  get appliedIndex(): LogIndex {
    return this.machine.appliedIndex;
  }

  get hasApplyWork(): boolean {
    return this.applier.hasWork;
  }

  get isLeader(): boolean {
    return this.node.isLeader();
  }

  get term(): Term {
    return this.node.raft.term;
  }

  /** The leader of this term as far as this replica knows; 0 if it knows none. */
  get leader(): NodeId {
    return this.node.raft.lead;
  }

  /**
   * Whether a read of the local state reflects every write acknowledged so far, without asking anybody:
   * for an only voter that leads and has applied what is committed.
   */
  get isCurrent(): boolean {
    if (this.closed !== undefined || !this.isLeader || !this.isOnlyVoter) return false;
    return this.machine.appliedIndex >= this.node.raft.log.committed && this.rounds.mayAsk;
  }

  /** Whether the group has stopped its clock. */
  get isAsleep(): boolean {
    return this.asleep;
  }

  status(): GroupStatus {
    return groupStatus(this.node, this.machine.appliedIndex);
  }

  /** Who belongs to the group, as far as it is applied here. */
  confState(): ConfState {
    return this.node.raft.tracker.confState();
  }

  /** What the leader knows of each member; empty on any other replica. */
  progress(): ReadonlyMap<NodeId, MemberProgress> {
    return memberProgress(this.node);
  }

  /** True for a voter; a learner may be far behind, and one that just joined knows nothing. */
  get isVoter(): boolean {
    const { tracker, id } = this.node.raft;
    return tracker.config.voters[0].has(id) || tracker.config.voters[1].has(id);
  }

  /**
   * What the state as it is now would be a snapshot of. Throws StorageError before any state, and
   * while the state does not hold the last change of members yet: after a power cut the configuration
   * that is known may be of a later entry, and whoever took both would apply that entry once more.
   */
  snapshotMetadata(): SnapshotMetadata {
    const index = this.machine.appliedIndex;
    if (index === 0 || index < this.log.confStateIndex()) {
      const message = `group ${this.id} has applied ${index} entries, too few for a snapshot`;
      throw new StorageError('snapshot-temporarily-unavailable', message);
    }
    return { index, term: this.node.raft.log.termOrZero(index), confState: this.confState() };
  }

  /**
   * Appends `data` to the group's log and applies it; settles with the state machine's result once
   * the entry is durable at a majority and applied here.
   * Rejects with HostError not-ready, busy, too-large, timeout, aborted, group-closed or closed.
   */
  propose(data: Uint8Array, deadlineMs: number): Promise<ProposalOutcome<Result>> {
    return new Promise((resolve, reject) => this.submit(data, deadlineMs, { resolve, reject }));
  }

  /** The same for whoever makes more of the outcome than to wait for it; told in the tick it is known. */
  submit(data: Uint8Array, deadlineMs: number, waiter: ProposalWaiter<Result>): void {
    const refusal = this.refusal(data.length);
    if (refusal) return waiter.reject(refusal);
    this.work();
    this.proposals.add(data, deadlineMs, waiter);
  }

  /**
   * Proposes a change of membership; settles once an entry is applied in its place. The core puts an
   * empty entry there if the change does not fit the configuration: look at `confState()`.
   */
  proposeConfChange(
    change: ConfChange | ConfChangeV2,
    deadlineMs: number,
  ): Promise<ProposalOutcome<Result>> {
    const refusal = this.refusal(0) ?? this.refusesReturn(change);
    if (refusal) return Promise.reject(refusal);
    this.proposeAdded();
    try {
      this.node.proposeConfChange(change);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      return Promise.reject(busy(error));
    }
    return this.waitForLast(deadlineMs);
  }

  /** Hands leadership to `to`, if this replica leads; given up after an election timeout. */
  transferLeader(to: NodeId): void {
    if (this.closed || !this.isLeader) return;
    this.node.transferLeader(to);
    this.work();
  }

  /** Whether a node may become a member in this term; see `FormerMembers`. */
  mayReturn(node: NodeId): boolean {
    return this.former.mayReturn(this.node.raft.term, node);
  }

  /** A leader gives its place up and stands again, so that the group enters another term. */
  renewTerm(): void {
    if (this.closed || !this.isLeader) return;
    const { id, term } = this.node.raft;
    // Whoever hears of a higher term follows it; nobody has to have said so.
    this.step({ ...newMessage(MessageType.AppResp, id), from: id, term: term + 1, reject: true });
    this.campaignSoon(1);
  }

  /** Tries to become leader after `ticks`, without waiting for a timeout. */
  campaignSoon(ticks: number): void {
    if (this.closed || this.isLeader) return;
    this.haste.begin(ticks);
    this.work();
  }

  /** Settles with the leader once this replica knows one. Rejects with HostError not-ready. */
  leaderKnown(deadlineMs: number): Promise<NodeId> {
    if (this.closed) return Promise.reject(new HostError(this.closed.code, this.closed.message));
    const { lead } = this.node.raft;
    if (lead !== NONE) return Promise.resolve(lead);
    // Deadlines are looked at by the clock: whoever waits keeps it running.
    this.work();
    return this.leaderWaits.until(1, deadlineMs);
  }

  /** Settles once the state here holds everything up to `index`. Rejects with HostError timeout. */
  applied(index: LogIndex, deadlineMs: number): Promise<number> {
    if (this.closed) return Promise.reject(new HostError(this.closed.code, this.closed.message));
    const { appliedIndex } = this.machine;
    if (appliedIndex >= index) return Promise.resolve(appliedIndex);
    this.work();
    return this.appliedWaits.until(index, deadlineMs);
  }

  /**
   * Applied entries from `from` on, within `bytesMax` but at least one; none if there is none yet, and
   * undefined if the log does not hold the first one any more. Rejects with HostError and LogStoreError.
   */
  async readApplied(from: LogIndex, bytesMax: number): Promise<readonly ToldEntry[] | undefined> {
    if (this.closed) throw new HostError(this.closed.code, this.closed.message);
    const { appliedIndex } = this.machine;
    const entries = await appliedEntries(this.node, this.log, appliedIndex, from, bytesMax);
    return entries?.map((entry) => ({ ...asCommitted(entry), term: entry.term }));
  }

  /**
   * Term of an applied entry; also of the last one that was cut from the log, of which no more is
   * known. Undefined where it is not known, or the entry is not applied here.
   */
  appliedTerm(index: LogIndex): Term | undefined {
    if (index > this.machine.appliedIndex) return undefined;
    return this.node.raft.log.termOrUndefined(index);
  }

  /** Settles once a read of the local state reflects every write acknowledged before this call. */
  readBarrier(deadlineMs: number): Promise<void> {
    if (this.closed) return Promise.reject(new HostError(this.closed.code, this.closed.message));
    if (this.reads.isFull) return Promise.reject(busy());
    this.work();
    return this.reads.ask(deadlineMs);
  }

  tick(nowMs: number): void {
    this.proposals.expire(nowMs);
    this.reads.expire(nowMs);
    this.leaderWaits.expire(nowMs, HostErrorCode.NotReady, NOT_READY);
    this.appliedWaits.expire(nowMs, HostErrorCode.Timeout, 'timeout');
    if (this.rounds.tick()) this.signals.wake(this);
    for (const to of this.snapshots.tick()) this.node.reportSnapshot(to, 'failure');
    if (this.haste.tick()) this.hurry();
    if (++this.idleTicks >= this.options.hibernateTicks && this.fallsAsleep()) return;
    this.node.tick();
    if (this.node.hasReady()) this.signals.wake(this);
  }

  /** Hands everything the core wants done to the sink; apply work is kept for `applyNext`. */
  collect(sink: GroupSink): void {
    this.proposeAdded();
    this.rounds.start();
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      for (const read of ready.readStates) this.reads.confirmed(read.requestContext, read.index);
      for (const message of ready.messages) this.route(message, sink);
    }
    if (!this.hasApplyWork) this.reads.applied(this.machine.appliedIndex);
    const { lead } = this.node.raft;
    if (lead === NONE) return;
    this.haste.end();
    this.leaderWaits.reached(lead);
  }

  /** Applies one portion of committed entries, tells those who waited, returns how many. */
  applyNext(sink: GroupSink): number {
    if (!this.applier.hasWork) return 0;
    const count = this.applier.applyNext(sink);
    this.reads.applied(this.machine.appliedIndex);
    this.appliedWaits.reached(this.machine.appliedIndex);
    this.campaignIfAlone();
    if (this.node.hasReady()) this.signals.wake(this);
    return count;
  }

  /** A message from a peer, or the answer of the local log. */
  deliver(message: Message): void {
    if (this.closed) return;
    this.step(this.withoutOldCommit(message));
    // The small talk of an idle group is no work; everything else is.
    if (isSmallTalk(message) && !this.asleep) this.signals.wake(this);
    else this.work();
  }

  /** Whether the log here does not reach what a snapshot stands for; if it does, the core says so. */
  lacks({ index, term }: SnapshotMetadata): boolean {
    const { log } = this.node.raft;
    return index > log.committed && !log.matchTerm(index, term);
  }

  /**
   * The state of a snapshot lies ready in the machine: the log may take it over. False if that is no
   * longer wanted: the group got there by itself, or is not led by anybody now.
   */
  installSnapshot(metadata: SnapshotMetadata): boolean {
    const { raft } = this.node;
    if (this.closed || raft.lead === NONE || this.isLeader) return false;
    // Everything in a snapshot is committed, so whoever leads now has it too, and hears of it.
    this.step({
      ...SNAPSHOT_MESSAGE,
      to: raft.id,
      from: raft.lead,
      term: raft.term,
      snapshot: { data: EMPTY, metadata },
    });
    this.work();
    return raft.log.unstable.snapshot?.metadata === metadata;
  }

  /** The log has taken the snapshot: so does the state. What waited in between is gone. */
  takeOver(metadata: SnapshotMetadata): void {
    const { slots } = this.machine;
    if (slots?.staged()?.index !== metadata.index) {
      throw new Error(`group ${this.id}: no state lies ready for snapshot ${metadata.index}`);
    }
    slots.install();
    this.proposals.failThrough(metadata.index);
    this.reads.applied(metadata.index);
    this.appliedWaits.reached(metadata.index);
  }

  /** The leader has stopped its clock; so does this replica, if it has everything. */
  quiesce(from: NodeId, term: Term, index: LogIndex): void {
    if (this.closed || !this.isIdle) return;
    if (mayFollowToSleep(this.node, from, term, index)) this.sleep();
  }

  /** A node is gone: nobody counts on it, and if it led, somebody else takes over soon. */
  nodeLost(node: NodeId): void {
    const { raft } = this.node;
    if (this.closed || !raft.tracker.progress.has(node)) return;
    if (raft.lead === node) {
      this.node.forgetLeader();
      const voters = raft.tracker.voterNodes().filter((id) => this.signals.isAlive(id));
      if (this.isVoter) this.haste.begin(hasteTicks(this.id, raft.id, voters));
    }
    this.work();
  }

  /** A node is back: a leader looks what it lacks, at once. */
  nodeFound(node: NodeId): void {
    if (this.closed || !this.node.raft.tracker.progress.has(node)) return;
    this.work();
  }

  unreachable(node: NodeId): void {
    if (this.closed || !this.isLeader) return;
    this.node.reportUnreachable(node);
  }

  snapshotProgressed(to: NodeId): void {
    this.snapshots.progressed(to);
  }

  snapshotEnded(to: NodeId, outcome: 'finish' | 'failure'): void {
    this.snapshots.ended(to);
    if (this.closed || !this.isLeader) return;
    this.node.reportSnapshot(to, outcome);
    this.work();
  }

  close(code: HostErrorCode, message: string): void {
    if (this.closed) return;
    this.closed = { code, message };
    this.applier.clear();
    this.proposals.failAll(code, message);
    this.reads.failAll(code, message);
    this.leaderWaits.failAll(code, message);
    this.appliedWaits.failAll(code, message);
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

  /** What was proposed since the last turn enters the log as one append. */
  private proposeAdded(): void {
    const added = this.proposals.takeAdded();
    if (added.length === 0) return;
    if (!this.isLeader || this.node.raft.leadTransferee !== NONE) {
      for (const proposal of added)
        proposal.waiter.reject(new HostError(HostErrorCode.NotReady, NOT_READY));
      return;
    }
    if (this.tryToPropose(added)) return;
    // Together they are more than may wait: as many as fit, one by one.
    for (const proposal of added) {
      if (!this.tryToPropose([proposal])) proposal.waiter.reject(busy());
    }
  }

  private tryToPropose(added: readonly AddedProposal<Result>[]): boolean {
    try {
      this.node.proposeMany(added.map(({ data }) => data));
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      return false;
    }
    const { raft } = this.node;
    this.proposals.entered(added, raft.log.lastIndex() - added.length + 1, raft.term);
    return true;
  }

  private waitForLast(deadlineMs: number): Promise<ProposalOutcome<Result>> {
    this.work();
    const { raft } = this.node;
    return this.proposals.wait(raft.log.lastIndex(), raft.term, deadlineMs);
  }

  /** There is something to do: the group is awake, and this turn looks at it. */
  private work(): void {
    this.idleTicks = 0;
    if (this.asleep) {
      this.asleep = false;
      this.signals.clock(this, true);
    }
    this.signals.wake(this);
  }

  private get isIdle(): boolean {
    return (
      this.proposals.size === 0 &&
      this.reads.isEmpty &&
      this.leaderWaits.isEmpty &&
      this.appliedWaits.isEmpty &&
      !this.haste.isOn &&
      !this.hasApplyWork &&
      !this.node.hasReady()
    );
  }

  private fallsAsleep(): boolean {
    if (!this.isIdle) return false;
    const { raft } = this.node;
    const tell = whomToTell(this.node, this.machine.appliedIndex, (id) => this.signals.isAlive(id));
    if (!tell) return false;
    for (const to of tell) this.signals.quiesce(to, this.id, raft.term, raft.log.lastIndex());
    this.sleep();
    return true;
  }

  private sleep(): void {
    if (this.asleep) return;
    this.asleep = true;
    this.signals.clock(this, false);
  }

  private hurry(): void {
    if (this.isLeader || this.node.raft.lead !== NONE) this.haste.end();
    else this.node.campaign();
  }

  private step(message: Message): void {
    try {
      this.node.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
    }
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
    // A leader that hands its place over takes nothing any more, and will soon not be one.
    if (!this.isLeader || this.node.raft.leadTransferee !== NONE) {
      return new HostError(HostErrorCode.NotReady, NOT_READY);
    }
    return this.proposals.isFull ? busy() : undefined;
  }

  private route(message: Message, sink: GroupSink): void {
    if (message.to === LOCAL_APPEND_THREAD) sink.append(this, message);
    else if (message.to === LOCAL_APPLY_THREAD) this.applier.add(message);
    else {
      if (message.type === MessageType.Snap) this.snapshots.announced(message.to);
      sink.send(this.id, message);
    }
  }

  private refusesReturn(change: ConfChange | ConfChangeV2): HostError | undefined {
    const changes = 'changes' in change ? change.changes : [change];
    for (const { type, nodeId } of changes) {
      if (type === ConfChangeType.RemoveNode || this.mayReturn(nodeId)) continue;
      const text = `node ${nodeId} left group ${this.id} in this term: it may return in another`;
      return new HostError(HostErrorCode.NotReady, text);
    }
    return undefined;
  }

  /**
   * A heartbeat that was on its way for long may speak to the replica that was here before: it had
   * entries that this one does not have. That the leader lives is true all the same.
   */
  private withoutOldCommit(message: Message): Message {
    const isOld =
      message.type === MessageType.Heartbeat && message.commit > this.node.raft.log.lastIndex();
    return isOld ? { ...message, commit: 0 } : message;
  }
}

/** Heartbeats and their answers, unless they carry a read. */
function isSmallTalk({ type, context }: Message): boolean {
  const isHeartbeat = type === MessageType.Heartbeat || type === MessageType.HeartbeatResp;
  return isHeartbeat && (context === undefined || context.length === 0);
}

function busy(cause?: unknown): HostError {
  return new HostError(HostErrorCode.Busy, 'system is too busy try again later', { cause });
}
