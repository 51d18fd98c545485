/**
 * All Raft groups of a node on one loop.
 *
 *   inputs (proposals, reads, messages, ticks)          one turn
 *     wake(group) --defer--> collect every woken group --> one log batch for all of them
 *                                                       --> messages to peers
 *                            apply what is committed, within a time budget
 *     batch durable --> its responses go back into the cores --> next turn
 *
 * A failed log write is final: nothing after it is acknowledged, `onFatal` is told once.
 */
import {
  MessageType,
  NONE,
  type ConfState,
  type LogIndex,
  type LogEnd,
  type Message,
  type NodeId,
  type SnapshotMetadata,
  type Term,
} from '../core/index.js';
import { LogStoreError, type LogBatch, type LogStore } from '../log-store/index.js';
import { Group } from './group.js';
import type { GroupSignals, GroupSink, HostedGroup } from './hosted-group.js';
import { HostError, HostErrorCode } from './host-error.js';
import { DEFAULT_HOST_OPTIONS, type HostOptions } from './options.js';
import type {
  GroupId,
  HostObserver,
  PeerSender,
  Scheduler,
  SnapshotFetcher,
  StateMachine,
} from './ports.js';
import { completeInstall, recoverGroup } from './recovery.js';

export interface HostPorts {
  readonly store: LogStore;
  readonly scheduler: Scheduler;
  readonly peers: PeerSender;
  /** Without it a replica that needs a snapshot stays behind. */
  readonly snapshots?: SnapshotFetcher;
  /** Source of election timeouts and read rounds: a number in [0, 1). */
  readonly random: () => number;
  /** Told once when the node can no longer keep its promises; it has to be stopped. */
  readonly onFatal: (error: unknown) => void;
  readonly observer?: HostObserver;
}

export interface HostStats {
  readonly groups: number;
  /** Groups whose clock runs. */
  readonly awake: number;
  readonly turns: number;
  readonly batches: number;
  readonly appliedEntries: number;
}

interface Durable {
  readonly group: HostedGroup;
  readonly responses: readonly Message[];
}

const NONCE_LIMIT = 2 ** 32;
/** What is stored even of a group that never had a term, so that it is known to have been here. */
const TERM_FIRST = 1;

export class Host implements GroupSink {
  private readonly groups = new Map<GroupId, HostedGroup>();
  private readonly ticking = new Set<HostedGroup>();
  private readonly lost = new Set<NodeId>();
  private readonly options: HostOptions;
  private woken = new Set<HostedGroup>();
  private applying = new Set<HostedGroup>();
  private batch: LogBatch;
  private batchSync = false;
  private whenDurable: Durable[] = [];
  private turnDue = false;
  /** The log has too much to write already: the batch gathers until that is on disk. */
  private stalled = false;
  private closed = false;
  private turns = 0;
  private batches = 0;
  private appliedEntries = 0;

  constructor(
    private readonly ports: HostPorts,
    options: Partial<HostOptions> & Pick<HostOptions, 'nodeId'>,
  ) {
    this.options = { ...DEFAULT_HOST_OPTIONS, ...options };
    this.batch = ports.store.batch();
  }

  get nodeId(): NodeId {
    return this.options.nodeId;
  }

  /**
   * Starts a group from what its log and its state machine hold; `peers` found it if its log is
   * empty, and without any the replica waits to be told by a leader. Throws when log and state
   * contradict each other.
   */
  startGroup<Result>(
    id: GroupId,
    machine: StateMachine<Result>,
    peers: readonly NodeId[],
  ): Group<Result> {
    if (this.closed) throw new HostError(HostErrorCode.Closed, 'the node is stopping');
    if (this.groups.has(id)) throw new Error(`group ${id} runs already`);
    this.handOverBatch();
    const log = this.ports.store.group(id);
    this.finishInstall(id, machine);
    const { appliedIndex } = machine;
    const node = recoverGroup(id, log, appliedIndex, peers, this.options, this.ports);
    const nonce = Math.floor(this.ports.random() * NONCE_LIMIT);
    const group = new Group(id, node, log, machine, this.options, this.signals, nonce);
    this.groups.set(id, group);
    this.ticking.add(group);
    group.campaignIfAlone();
    this.wake(group);
    return group;
  }

  /** Stops a group; whoever waits is told. Its log stays unless `forgetGroup` is called. */
  stopGroup(id: GroupId): void {
    const group = this.groups.get(id);
    if (!group) return;
    group.close(HostErrorCode.GroupClosed, 'raft shard already closed');
    this.groups.delete(id);
    this.ticking.delete(group);
    this.woken.delete(group);
    this.applying.delete(group);
  }

  /**
   * Drops the log of a group that does not run; durable when the promise settles. A replica that may
   * come back one day keeps term and vote, so that it neither votes twice nor founds the group again,
   * and where its log ended, so that nobody is elected who lacks what it once acknowledged: `keepVote`.
   */
  async forgetGroup(id: GroupId, options: { readonly keepVote?: boolean } = {}): Promise<void> {
    if (this.groups.has(id)) throw new Error(`group ${id} still runs`);
    this.handOverBatch();
    const batch = this.ports.store.batch();
    const log = this.ports.store.group(id);
    const { term, vote } = log.initialState().hardState;
    const floor = later(log.voteFloor(), { index: log.lastIndex(), term: log.lastTerm() });
    batch.removeGroup(id);
    if (options.keepVote === true) {
      batch.setHardState(id, { term: Math.max(term, TERM_FIRST), vote, commit: 0 });
      if (floor.index > 0) batch.setVoteFloor(id, floor);
    }
    await this.ports.store.write(batch, { sync: true });
  }

  /**
   * One tick of the protocol's clock for every group that is awake. A loop that stalled gives one
   * tick when it goes on, never those it missed, so that a stall starts no elections.
   */
  tick(): void {
    if (this.closed) return;
    const nowMs = this.ports.scheduler.nowMs();
    this.orFail(() => {
      for (const group of this.ticking) group.tick(nowMs);
    });
  }

  /** A message from a peer. One for a group that does not run here is dropped. */
  receive(id: GroupId, message: Message): void {
    const group = this.groups.get(id);
    if (!group) return;
    const { snapshot } = message;
    // The state is fetched first; then the log and the state take it over together.
    if (message.type === MessageType.Snap && snapshot && group.lacks(snapshot.metadata)) {
      this.ports.snapshots?.wanted(id, message.from, snapshot.metadata);
    } else this.orFail(() => group.deliver(message));
  }

  /** A leader says that it stops its clock for a group. */
  receiveQuiesce(id: GroupId, from: NodeId, term: Term, index: LogIndex): void {
    this.orFail(() => this.groups.get(id)?.quiesce(from, term, index));
  }

  /**
   * The state of a snapshot lies ready in the group's machine (`SnapshotSlots.staged`): log and state
   * take it over. False if it is not wanted any more; what was staged is the caller's to discard.
   */
  installSnapshot(id: GroupId, metadata: SnapshotMetadata): boolean {
    return this.groups.get(id)?.installSnapshot(metadata) ?? false;
  }

  /** Nothing is heard of a node: its groups look for other leaders, and sleep without it. */
  nodeLost(node: NodeId): void {
    if (this.closed || this.lost.has(node)) return;
    this.lost.add(node);
    this.orFail(() => {
      for (const group of this.groups.values()) group.nodeLost(node);
    });
  }

  nodeFound(node: NodeId): void {
    if (this.closed || !this.lost.delete(node)) return;
    this.orFail(() => {
      for (const group of this.groups.values()) group.nodeFound(node);
    });
  }

  /** A message to `node` was dropped on the way. */
  unreachable(id: GroupId, node: NodeId): void {
    this.orFail(() => this.groups.get(id)?.unreachable(node));
  }

  /** A part of the snapshot for `to` was fetched. */
  snapshotProgressed(id: GroupId, to: NodeId): void {
    this.groups.get(id)?.snapshotProgressed(to);
  }

  /** The snapshot for `to` was fetched as a whole, or will not be. */
  snapshotEnded(id: GroupId, to: NodeId, outcome: 'finish' | 'failure'): void {
    this.orFail(() => this.groups.get(id)?.snapshotEnded(to, outcome));
  }

  /**
   * Says that entries up to the given index of each group are no longer needed. What is applied up
   * to there must be durable in the state machines before this is called.
   */
  async compact(appliedDurably: ReadonlyMap<GroupId, LogIndex>): Promise<void> {
    const batch = this.ports.store.batch();
    for (const [id, index] of appliedDurably) {
      const group = this.groups.get(id);
      if (!group || index < group.log.firstIndex()) continue;
      // Changes of membership go with the entries: what they made of the group has to be on disk.
      if (group.log.confStateIndex() < index) {
        batch.setConfState(id, group.appliedIndex, group.confState());
      }
      batch.compact(id, index);
    }
    try {
      if (!batch.isEmpty) await this.ports.store.write(batch, { sync: true });
    } catch (error) {
      // Nothing was taken over; what can be cut now can be cut later.
      if (isBusy(error)) return;
      throw error;
    }
    await this.ports.store.dropObsoleteSegments();
  }

  stats(): HostStats {
    const { turns, batches, appliedEntries } = this;
    const awake = this.ticking.size;
    return { groups: this.groups.size, awake, turns, batches, appliedEntries };
  }

  /** Stops all groups; whoever waits is told. The log store is its owner's to close. */
  close(): void {
    this.closeWith(HostErrorCode.Closed, 'system closed');
  }

  /** GroupSink: work for the log joins the batch of this turn. */
  append(group: HostedGroup, message: Message): void {
    if (message.snapshot) {
      const { metadata } = message.snapshot;
      this.batch.installSnapshot(group.id, metadata);
      this.batchSync = true;
      group.takeOver(metadata);
    }
    if (message.entries.length > 0) this.batch.appendEntries(group.id, message.entries);
    if (message.term !== 0) {
      const { term, vote, commit } = message;
      this.batchSync ||= this.isNewTermOrVote(group, term, vote);
      this.batch.setHardState(group.id, { term, vote, commit });
    }
    this.batchSync ||= message.entries.length > 0;
    if (message.responses.length > 0) {
      this.whenDurable.push({ group, responses: message.responses });
    }
  }

  /** GroupSink: a message that may leave before anything else is durable. */
  send(group: GroupId, message: Message): void {
    this.ports.peers.send(group, message);
  }

  /** GroupSink: goes to the log unsynced; `recoverGroup` can do without it while the log is whole. */
  confChanged(group: GroupId, index: LogIndex, confState: ConfState): void {
    this.batch.setConfState(group, index, confState);
  }

  private readonly wake = (group: HostedGroup): void => {
    // A group that was stopped while it worked has nothing to say any more.
    if (this.groups.get(group.id) !== group) return;
    this.woken.add(group);
    this.scheduleTurn();
  };

  private readonly signals: GroupSignals = {
    wake: this.wake,
    clock: (group, runs) => {
      if (!runs) this.ticking.delete(group);
      else if (this.groups.get(group.id) === group) this.ticking.add(group);
    },
    quiesce: (to, group, term, index) => this.ports.peers.quiesce(to, group, term, index),
    isAlive: (node) => !this.lost.has(node),
    observer: () => this.ports.observer,
  };

  private scheduleTurn(): void {
    if (this.turnDue) return;
    this.turnDue = true;
    this.ports.scheduler.defer(this.turn);
  }

  private readonly turn = (): void => {
    this.turnDue = false;
    if (this.closed) return;
    this.turns++;
    this.orFail(() => {
      this.collectWoken();
      this.flush();
      this.applyWithinBudget();
    });
  };

  /** Whatever escapes from a group's code is a broken invariant: the node stops. */
  private orFail(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What a stopped group left in the batch comes before anything else is done with its log. */
  private handOverBatch(): void {
    if (!this.batch.isEmpty) this.flush();
    if (this.stalled || !this.batch.isEmpty) {
      throw new HostError(HostErrorCode.Busy, 'system is too busy try again later');
    }
  }

  /** A crash in the middle of taking a snapshot over: the half that is missing is made up for. */
  private finishInstall(id: GroupId, machine: StateMachine<unknown>): void {
    const log = this.ports.store.group(id);
    const metadata = completeInstall(log, machine);
    if (!metadata) return;
    const { term, vote } = log.initialState().hardState;
    const newer = metadata.term > term;
    this.batch.installSnapshot(id, metadata);
    this.batch.setHardState(id, {
      term: newer ? metadata.term : term,
      vote: newer ? NONE : vote,
      commit: metadata.index,
    });
    this.batchSync = true;
    this.handOverBatch();
  }

  private collectWoken(): void {
    const woken = this.woken;
    this.woken = new Set();
    for (const group of woken) {
      group.collect(this);
      if (group.hasApplyWork) this.applying.add(group);
    }
  }

  private flush(): void {
    if (this.stalled || (this.batch.isEmpty && this.whenDurable.length === 0)) return;
    const work = this.whenDurable;
    const sync = this.batchSync;
    this.whenDurable = [];
    this.batchSync = false;
    this.batches++;
    // Responses wait even when nothing new was written: what they speak of may still be on its way.
    this.ports.store.write(this.batch, { sync: sync || work.length > 0 }).then(
      () => this.orFail(() => this.durable(work)),
      (error: unknown) => {
        if (isBusy(error)) this.stall(work, sync);
        else this.fail(error);
      },
    );
  }

  /** Nothing was taken over: the batch, and who waits for it, go once the log has caught up. */
  private stall(work: readonly Durable[], sync: boolean): void {
    this.whenDurable = [...work, ...this.whenDurable];
    this.batchSync ||= sync;
    if (this.stalled) return;
    this.stalled = true;
    this.ports.store.write(this.ports.store.batch(), { sync: true }).then(
      () => {
        this.stalled = false;
        this.scheduleTurn();
      },
      (error: unknown) => this.fail(error),
    );
  }

  private durable(work: readonly Durable[]): void {
    if (this.closed) return;
    for (const { group, responses } of work) {
      for (const response of responses) {
        if (response.to === this.options.nodeId) group.deliver(response);
        else this.ports.peers.send(group.id, response);
      }
    }
  }

  /** Groups take turns, a portion each, until the budget is used up; the rest waits for a turn. */
  private applyWithinBudget(): void {
    const untilMs = this.ports.scheduler.nowMs() + this.options.applyBudgetMs;
    for (const group of this.applying) {
      this.applying.delete(group);
      this.appliedEntries += group.applyNext(this);
      // Added again it comes last, and is met again by this very loop.
      if (group.hasApplyWork) this.applying.add(group);
      if (this.ports.scheduler.nowMs() > untilMs) break;
    }
    if (this.applying.size > 0) this.scheduleTurn();
  }

  private isNewTermOrVote(group: HostedGroup, term: Term, vote: NodeId): boolean {
    const stored = group.log.initialState().hardState;
    return stored.term !== term || stored.vote !== vote;
  }

  private fail(error: unknown): void {
    if (this.closed) return;
    this.closeWith(HostErrorCode.Closed, 'the node failed');
    this.ports.onFatal(error);
  }

  private closeWith(code: HostErrorCode, message: string): void {
    if (this.closed) return;
    this.closed = true;
    for (const group of this.groups.values()) group.close(code, message);
    this.groups.clear();
    this.ticking.clear();
    this.woken.clear();
    this.applying.clear();
  }
}

/** The one of two ends of logs that is the more up to date. */
function later(a: LogEnd, b: LogEnd): LogEnd {
  return a.term > b.term || (a.term === b.term && a.index > b.index) ? a : b;
}

function isBusy(error: unknown): boolean {
  return error instanceof LogStoreError && error.code === 'busy';
}
