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
import type { ConfState, LogIndex, Message, NodeId, Term } from '../core/index.js';
import { LogStoreError, type LogBatch, type LogStore } from '../log-store/index.js';
import { Group, type GroupSink, type HostedGroup } from './group.js';
import { HostError, HostErrorCode } from './host-error.js';
import { DEFAULT_HOST_OPTIONS, type HostOptions } from './options.js';
import type { GroupId, PeerSender, Scheduler, StateMachine } from './ports.js';
import { recoverGroup } from './recovery.js';

export interface HostPorts {
  readonly store: LogStore;
  readonly scheduler: Scheduler;
  readonly peers: PeerSender;
  /** Source of election timeouts and read rounds: a number in [0, 1). */
  readonly random: () => number;
  /** Told once when the node can no longer keep its promises; it has to be stopped. */
  readonly onFatal: (error: unknown) => void;
}

export interface HostStats {
  readonly groups: number;
  readonly turns: number;
  readonly batches: number;
  readonly appliedEntries: number;
}

interface Durable {
  readonly group: HostedGroup;
  readonly responses: readonly Message[];
}

const NONCE_LIMIT = 2 ** 32;

export class Host implements GroupSink {
  private readonly groups = new Map<GroupId, HostedGroup>();
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
   * empty. Throws when log and state contradict each other.
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
    const node = recoverGroup(id, log, machine.appliedIndex, peers, this.options, this.ports);
    const nonce = Math.floor(this.ports.random() * NONCE_LIMIT);
    const group = new Group(id, node, log, machine, this.options, this.wake, nonce);
    this.groups.set(id, group);
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
    this.woken.delete(group);
    this.applying.delete(group);
  }

  /** Drops the log of a group that does not run; durable when the promise settles. */
  async forgetGroup(id: GroupId): Promise<void> {
    if (this.groups.has(id)) throw new Error(`group ${id} still runs`);
    this.handOverBatch();
    const batch = this.ports.store.batch();
    batch.removeGroup(id);
    await this.ports.store.write(batch, { sync: true });
  }

  /** One tick of the protocol's clock for every group. */
  tick(): void {
    if (this.closed) return;
    const nowMs = this.ports.scheduler.nowMs();
    this.orFail(() => {
      for (const group of this.groups.values()) group.tick(nowMs);
    });
  }

  /** A message from a peer. One for a group that does not run here is dropped. */
  receive(id: GroupId, message: Message): void {
    this.orFail(() => this.groups.get(id)?.deliver(message));
  }

  /**
   * Says that entries up to the given index of each group are no longer needed. What is applied up
   * to there must be durable in the state machines before this is called.
   */
  async compact(appliedDurably: ReadonlyMap<GroupId, LogIndex>): Promise<void> {
    const batch = this.ports.store.batch();
    for (const [id, index] of appliedDurably) {
      const log = this.groups.get(id)?.log;
      if (log && index >= log.firstIndex()) batch.compact(id, index);
    }
    if (!batch.isEmpty) await this.ports.store.write(batch, { sync: true });
    await this.ports.store.dropObsoleteSegments();
  }

  stats(): HostStats {
    const { turns, batches, appliedEntries } = this;
    return { groups: this.groups.size, turns, batches, appliedEntries };
  }

  /** Stops all groups; whoever waits is told. The log store is its owner's to close. */
  close(): void {
    this.closeWith(HostErrorCode.Closed, 'system closed');
  }

  /** GroupSink: work for the log joins the batch of this turn. */
  append(group: HostedGroup, message: Message): void {
    if (message.snapshot) throw new Error(`group ${group.id}: a snapshot needs an installer`);
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

  /** GroupSink: goes to the log unsynced; `recoverGroup` can do without it. */
  confChanged(group: GroupId, index: LogIndex, confState: ConfState): void {
    this.batch.setConfState(group, index, confState);
  }

  private readonly wake = (group: HostedGroup): void => {
    // A group that was stopped while it worked has nothing to say any more.
    if (this.groups.get(group.id) !== group) return;
    this.woken.add(group);
    this.scheduleTurn();
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
    this.woken.clear();
    this.applying.clear();
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof LogStoreError && error.code === 'busy';
}
