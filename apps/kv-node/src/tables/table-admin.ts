/**
 * Creates and deletes tables, from any node.
 *
 *   create   place its replicas -> row in the catalog -> all living nodes have seen it -> its group
 *            has a leader -> done: it can be written through any node
 *   delete   row moved to "deleting" -> all living nodes, and a majority of those that held it, have
 *            stopped it -> done: nothing more is acknowledged for it
 *
 * The node that leads the catalog does it, wherever the call came in: there changes queue up behind
 * each other instead of racing. A change is a compare and a write in one entry of the catalog; who
 * loses a race all the same reads again and tries again, within its deadline.
 */
import { GrpcStatusError } from '@flotilla/grpc';
import { HostError, HostErrorCode } from '@flotilla/raft';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import {
  createCommand,
  deleteCommand,
  finishDeletionCommand,
  newRow,
  nextTableId,
  type TableSource,
} from '../catalog/catalog-rows.js';
import { type ClusterView } from '../cluster/cluster-view.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';
import { wasNotExecuted } from '../peers/not-executed.js';
import { chooseReplicas } from '../placement/choose-replicas.js';
import { type TableRegistry } from './table-registry.js';

/** How often a lost race is tried again before the caller is told to come back. */
const ATTEMPTS_MAX = 32;
/** How long a living node may take to follow the catalog before it is not waited for any more. */
const FOLLOW_TIMEOUT_MS = 2_000;
const READY_PAUSE_MS = 10;
const RETRY_PAUSE_MS = 25;

export type CreateOutcome =
  | { readonly kind: 'created'; readonly id: number }
  | { readonly kind: 'exists'; readonly table?: TakenName }
  | { readonly kind: 'contended' }
  | { readonly kind: 'no-nodes' };

/** What has the name already. */
export interface TakenName {
  readonly id: number;
  readonly source?: TableSource | undefined;
}

export type DeleteOutcome =
  | { readonly kind: 'deleted' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'other-source' }
  | { readonly kind: 'contended' };

/** What the table admin needs of the other nodes. */
export interface OtherNodes {
  /** Other nodes that live. */
  living(): readonly number[];
  /** Settles once the node has applied the catalog up to `index`. */
  awaitCatalog(node: number, index: number, timeoutMs: number): Promise<void>;
  /** Settles once a table can be used at the node. */
  awaitTable(node: number, id: number, deadlineMs: number): Promise<void>;
  createTable(node: number, table: NamedTable, deadlineMs: number): Promise<CreateOutcome>;
  deleteTable(node: number, table: NamedTable, deadlineMs: number): Promise<DeleteOutcome>;
}

/** A table to create or delete; with a source, as the copy of a leader cluster's table. */
export interface NamedTable {
  readonly name: string;
  readonly source?: TableSource | undefined;
}

export class TableAdmin {
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly view: ClusterView,
    private readonly others: OtherNodes,
    private readonly replicasMax: number,
  ) {}

  /** Rejects with HostError; the table can be written through any node when this settles. */
  async create(name: string, source?: TableSource): Promise<CreateOutcome> {
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    const table = { name, source };
    return this.atLeader(
      deadlineMs,
      () => this.createHere(table, deadlineMs),
      (leader) => this.others.createTable(leader, table, deadlineMs),
    );
  }

  /** The same, by this node. */
  async createHere(named: NamedTable, deadlineMs: number): Promise<CreateOutcome> {
    const outcome = await this.inTurn(() => this.insert(named, deadlineMs));
    if (outcome.kind !== 'inserted') return outcome;
    await this.followedBy(outcome.index);
    await this.untilUsable(outcome.table, deadlineMs);
    return { kind: 'created', id: outcome.table.id };
  }

  /**
   * The table is not served any more when this settles; its data goes in the background. With a
   * source it is deleted only if it is a copy of exactly that.
   */
  async delete(name: string, source?: TableSource): Promise<DeleteOutcome> {
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    const table = { name, source };
    return this.atLeader(
      deadlineMs,
      () => this.deleteHere(table, deadlineMs),
      (leader) => this.others.deleteTable(leader, table, deadlineMs),
    );
  }

  /** The same, by this node. */
  async deleteHere(named: NamedTable, deadlineMs: number): Promise<DeleteOutcome> {
    const outcome = await this.inTurn(() => this.remove(named, deadlineMs));
    if (outcome.kind !== 'removed') return outcome;
    const text = 'the table is deleted, but too few of its nodes answer to stop it everywhere';
    await this.untilStopped(outcome.table, outcome.index, text);
    return { kind: 'deleted' };
  }

  /**
   * Settles once a table that the catalog lists no more since `index` acknowledges nothing any more.
   * Rejects with HostError, which says what is the case then.
   */
  async untilStopped(table: TableInfo, index: number, text: string): Promise<void> {
    const followed = await this.followedBy(index);
    const { replicas, movingFrom } = table;
    const sets = movingFrom.length > 0 ? [replicas, movingFrom] : [replicas];
    // A majority that has not stopped it could still acknowledge writes that nobody will ever see.
    const stopped = sets.every(
      (set) => set.filter((node) => followed.has(node)).length * 2 > set.length,
    );
    if (!stopped) throw new HostError(HostErrorCode.Timeout, text);
  }

  /** The note of a deleted table is not needed any more. */
  async finishDeletion(id: number): Promise<void> {
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    await this.catalog.propose(finishDeletionCommand(BigInt(id)), deadlineMs);
  }

  /** Has the catalog's leader do it; tried again only when it certainly was not done. */
  private async atLeader<T>(
    deadlineMs: number,
    here: () => Promise<T>,
    there: (leader: number) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const leader = await this.catalog.group.leaderKnown(deadlineMs);
      if (leader === this.runtime.host.nodeId) return here();
      try {
        return await there(leader);
      } catch (error) {
        const isOver = this.runtime.remainingMs(deadlineMs) < RETRY_PAUSE_MS;
        if (isOver || !wasNotExecuted(error)) throw error;
      }
      await this.runtime.clock.sleep(RETRY_PAUSE_MS);
    }
  }

  private inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.queue.then(task);
    // Who comes next does not care how this one ended; whoever asked for it does.
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async insert(
    { name, source }: NamedTable,
    deadlineMs: number,
  ): Promise<
    | { kind: 'inserted'; index: number; table: TableInfo }
    | Exclude<CreateOutcome, { kind: 'created' }>
  > {
    const { state } = this.catalog;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0 || state.tables.has(name)) await this.catalog.barrier(deadlineMs);
      if (source) this.refusePromoted();
      const taken = state.tables.get(name);
      if (taken) return { kind: 'exists', table: { id: taken.id, source: taken.source } };
      const id = nextTableId(state.sequence);
      const { replicas, preferredLeader } = chooseReplicas({
        nodes: this.view.placementNodes(),
        load: this.view.load,
        tableId: Number(id),
        replicasMax: this.replicasMax,
      });
      if (replicas.length === 0) return { kind: 'no-nodes' };
      const row = newRow(name, id, replicas, preferredLeader, source);
      const { command, createdBy } = createCommand(row, state.sequence);
      const { succeeded, index } = await this.catalog.propose(command, deadlineMs);
      const table = state.tables.get(name);
      if (succeeded === createdBy && table?.id === Number(id)) {
        return { kind: 'inserted', index, table };
      }
    }
    return { kind: 'contended' };
  }

  private async remove(
    { name, source }: NamedTable,
    deadlineMs: number,
  ): Promise<
    | { kind: 'removed'; index: number; table: TableInfo }
    | Exclude<DeleteOutcome, { kind: 'deleted' }>
  > {
    const { state } = this.catalog;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.catalog.barrier(deadlineMs);
      if (source) this.refusePromoted();
      const table = state.tables.get(name);
      if (!table) return { kind: 'missing' };
      if (source && !isSameSource(source, table.source)) return { kind: 'other-source' };
      const command = deleteCommand(table.stored);
      const { succeeded, index } = await this.catalog.propose(command, deadlineMs);
      if (succeeded) return { kind: 'removed', index, table };
    }
    return { kind: 'contended' };
  }

  /** Whoever follows a leader cluster no more neither makes copies nor deletes what were some. */
  private refusePromoted(): void {
    if (this.catalog.state.cluster.promoted) throw promoted();
  }

  /** The nodes that have applied the catalog up to `index`, this one included. */
  private async followedBy(index: number): Promise<ReadonlySet<number>> {
    const followed = new Set([this.runtime.host.nodeId]);
    await Promise.all(
      this.others.living().map(async (node) => {
        try {
          await this.others.awaitCatalog(node, index, FOLLOW_TIMEOUT_MS);
          followed.add(node);
        } catch {
          // Counted as not having followed; who needs it to have looks at the set.
        }
      }),
    );
    return followed;
  }

  /** Why it cannot be used yet says nothing of whether it was created: it was. */
  private async untilUsable(table: TableInfo, deadlineMs: number): Promise<void> {
    try {
      await this.usable(table, deadlineMs);
    } catch (cause) {
      if (!(cause instanceof HostError) && !(cause instanceof GrpcStatusError)) throw cause;
      const text = 'the table is created, but cannot be used yet';
      throw new HostError(HostErrorCode.Timeout, text, { cause });
    }
  }

  private async usable(table: TableInfo, deadlineMs: number): Promise<void> {
    const here = this.registry.get(table.id);
    if (here) {
      await here.group.leaderKnown(deadlineMs);
      await here.group.readBarrier(deadlineMs);
      return;
    }
    for (let attempt = 0; ; attempt++) {
      const node = table.replicas[attempt % table.replicas.length] ?? 0;
      try {
        return await this.others.awaitTable(node, table.id, deadlineMs);
      } catch (error) {
        if (this.runtime.remainingMs(deadlineMs) < READY_PAUSE_MS) throw error;
      }
      await this.runtime.clock.sleep(READY_PAUSE_MS);
    }
  }
}

export function isSameSource(one: TableSource, other: TableSource | undefined): boolean {
  return one.tableId === other?.tableId && one.epoch === other.epoch;
}
