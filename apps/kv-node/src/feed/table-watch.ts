/**
 * Which tables and nodes there are, for one gateway: everything once, then what changes.
 *
 * In: changes of the catalog, as they are applied here. Out: messages at the reader's pace; what
 * changes while it is behind is gathered by id, so a slow reader costs no more than one set of ids. The
 * first view is never older than the call: an old one could lack tables, and an empty one is a claim.
 */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { feedV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { type CatalogChange, type NodeInfo, type TableInfo } from '../catalog/catalog-state.js';
import { withinStallLimit } from '../kv/reader-stall.js';
import { type NodeClock } from '../node/node-clock.js';
import { ChangeSignal } from './change-signal.js';
import { BARRIER_TIMEOUT_MS, CATALOG_CHECK_MS, WATCH_ROWS_MAX } from './feed-limits.js';

export class TableWatch {
  private readonly changed = new ChangeSignal();
  private readonly tables = new Set<number>();
  private readonly nodes = new Set<number>();
  /** What was told; a promotion raises it. */
  private generation = 0;

  constructor(
    private readonly catalog: Catalog,
    private readonly clock: Pick<NodeClock, 'after' | 'turn'>,
    /** Newest revision of a table here; 0 if it has no replica here. */
    private readonly revisionOf: (table: number) => number,
    private readonly call: CallContext,
    private readonly sink: MessageSink,
  ) {}

  /** In the tick in which the catalog changed. What is filled out of sight is not told of. */
  follow(changes: readonly CatalogChange[]): void {
    for (const change of changes) {
      if (change.kind === 'node') this.nodes.add(change.id);
      if (change.kind !== 'table') continue;
      for (const info of [change.before, change.now]) {
        if (info && !info.shadow) this.tables.add(info.id);
      }
    }
    this.changed.raise();
  }

  /** Settles when nobody listens any more. Rejects when this node is cut off from the catalog. */
  async run(): Promise<void> {
    await this.catalog.barrier(this.catalog.deadline(BARRIER_TIMEOUT_MS));
    const { state } = this.catalog;
    for (const { id } of state.tables.values()) this.tables.add(id);
    for (const id of state.nodes.keys()) this.nodes.add(id);
    await this.sendGathered(true);
    const timeout = { clock: this.clock, ms: CATALOG_CHECK_MS };
    while (!this.call.cancelled) {
      const { ticket } = this.changed;
      if (this.isDue) await this.sendGathered(false);
      await this.changed.since(ticket, this.call.signal, timeout);
      if (this.isDue || this.call.cancelled) continue;
      await this.catalog.barrier(this.catalog.deadline(BARRIER_TIMEOUT_MS));
    }
  }

  private get isDue(): boolean {
    const isPromoted = this.generation !== this.catalog.state.generation;
    return isPromoted || this.tables.size + this.nodes.size > 0;
  }

  private async sendGathered(isFirst: boolean): Promise<void> {
    for (let begins = isFirst; begins || this.isDue; begins = false) {
      const change = this.take();
      this.generation = this.catalog.state.generation;
      const more = isFirst && this.isDue;
      const clusterId = this.catalog.state.clusterId;
      const generation = BigInt(this.generation);
      const view = { ...change, begins, more, clusterId, generation };
      const behind = this.sink.write(feedV1.TablesChange.encode(view).finish());
      if (behind) await withinStallLimit(this.clock, behind);
      else await this.clock.turn();
    }
  }

  private take(): Pick<feedV1.TablesChange, 'tables' | 'deletedTables' | 'nodes' | 'removedNodes'> {
    const { state } = this.catalog;
    const tableIds = takeSome(this.tables);
    const nodeIds = takeSome(this.nodes);
    const tables = tableIds.map((id) => state.tablesById.get(id)).filter(isThere);
    const nodes = nodeIds.map((id) => state.nodes.get(id)).filter(isMember);
    return {
      tables: tables.map((info) => this.describe(info)),
      deletedTables: tableIds.filter((id) => !state.tablesById.has(id)).map(BigInt),
      nodes: nodes.map(({ id, clientUrl }) => ({ id: BigInt(id), clientUrl })),
      removedNodes: nodeIds.filter((id) => !isMember(state.nodes.get(id))).map(BigInt),
    };
  }

  private describe(info: TableInfo): feedV1.Table {
    const settled = info.movingFrom.length > 0 ? info.movingFrom : info.replicas;
    return {
      id: BigInt(info.id),
      name: info.name,
      epoch: BigInt(info.epoch),
      revision: BigInt(this.revisionOf(info.id)),
      replicas: settled.map(BigInt),
      preferredLeader: BigInt(info.preferredLeader),
    };
  }
}

/** The first ids of a set, which does not hold them any more. */
function takeSome(ids: Set<number>): number[] {
  const taken: number[] = [];
  for (const id of ids) {
    if (taken.length >= WATCH_ROWS_MAX) break;
    taken.push(id);
    ids.delete(id);
  }
  return taken;
}

function isThere(info: TableInfo | undefined): info is TableInfo {
  return info !== undefined;
}

function isMember(node: NodeInfo | undefined): node is NodeInfo {
  return node !== undefined && node.state !== 'removed';
}
