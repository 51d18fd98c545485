/**
 * Which tables and nodes the cluster has, as far as this gateway was told.
 *
 *   connecting --complete view--> known --stream lost--> known for a while --> not known
 *
 * In: the stream of one node, another one's when it breaks. Out: tables by name, addresses for the
 * pool. A view replaces the one before as a whole and only when it is complete; until there is one,
 * nobody is told that there are no tables.
 */
import { GrpcStatusError, toStatusError } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { feedV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type NodePool, type NodeWay } from './node-pool.js';

export const WATCH_TABLES = '/flotilla.replication.v1.Feed/WatchTables';
/** What was told by a stream that broke counts for so long. */
export const STALE_MS = 10_000;
const RETRY_MS = 200;

export interface KnownTable {
  readonly id: number;
  readonly name: string;
  readonly epoch: number;
  /** The leader first. */
  readonly replicas: readonly number[];
  /** Newest revision at the node that told of the table, when it did. */
  readonly revision: number;
}

/** Which cluster it is. */
export interface KnownCluster {
  readonly id: string;
  /** See `flotilla.replication.v1.TablesChange`. */
  readonly generation: number;
}

/** Told which tables may not be any more what they were. Must not throw. */
export type TablesListener = (ids: Iterable<number>) => void;

interface View {
  readonly tables: Map<number, KnownTable>;
  readonly nodes: Map<number, string>;
  cluster: KnownCluster;
  /** Ids of tables that came in messages since the view was last taken. */
  touched: Set<number>;
}

export class TableDirectory {
  private view: View | undefined;
  private byName = new Map<string, KnownTable>();
  private readonly listeners = new Set<TablesListener>();
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  /** When the stream broke that told it all; undefined while it runs. */
  private lostAtMs: number | undefined = 0;

  constructor(
    private readonly pool: NodePool,
    private readonly clock: GatewayClock,
    private readonly logger: Pick<Logger, 'info' | 'warn'>,
  ) {}

  start(): void {
    this.running ??= this.watch();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** Whether what it says is what the cluster says, or was a moment ago. */
  get isKnown(): boolean {
    if (this.view === undefined) return false;
    return this.lostAtMs === undefined || this.clock.nowMs() - this.lostAtMs < STALE_MS;
  }

  /** Undefined until a node has told. */
  get cluster(): KnownCluster | undefined {
    return this.view?.cluster;
  }

  find(name: string): KnownTable | undefined {
    return this.byName.get(name);
  }

  findById(id: number): KnownTable | undefined {
    return this.view?.tables.get(id);
  }

  /** Ids of all tables. */
  ids(): Iterable<number> {
    return this.view?.tables.keys() ?? [];
  }

  /** Returns what ends it. */
  onChange(listener: TablesListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** In the order of names. */
  all(): KnownTable[] {
    return [...this.byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  private async watch(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      for (const way of this.pool.ways()) {
        if (signal.aborted) return;
        await this.listen(way);
      }
      await this.clock.sleep(RETRY_MS, signal);
    }
  }

  /** Follows one node for as long as it tells. */
  private async listen(way: NodeWay): Promise<void> {
    const { signal } = this.stopping;
    const metadata = this.pool.credentials;
    let next: View | undefined;
    try {
      const changes = way.client.serverStream(WATCH_TABLES, NOTHING, { signal, metadata });
      for await (const bytes of changes) {
        const change = feedV1.TablesChange.decode(bytes);
        if (change.begins) next = emptyView();
        if (next === undefined)
          throw new Error('a stream of tables does not begin with all of them');
        apply(change, next);
        if (change.more) continue;
        this.pool.worked(way);
        this.take(next, way);
      }
    } catch (error) {
      this.lost(way, error);
    } finally {
      if (this.view !== undefined && this.view === next) this.lostAtMs = this.clock.nowMs();
    }
  }

  private take(view: View, { address }: NodeWay): void {
    if (this.view !== view) {
      const fields = { address, tables: view.tables.size, nodes: view.nodes.size };
      this.logger.info(fields, 'a node tells which tables there are');
    }
    const before = this.view?.tables;
    const isOther = this.view !== view;
    this.view = view;
    this.lostAtMs = undefined;
    this.byName = new Map(Array.from(view.tables.values(), (table) => [table.name, table]));
    this.pool.learn(view.nodes);
    // What an old view had and the new one has not was deleted in between.
    if (isOther) for (const id of before?.keys() ?? []) view.touched.add(id);
    const { touched } = view;
    view.touched = new Set();
    if (touched.size > 0) for (const listener of this.listeners) listener(touched);
  }

  private lost(way: NodeWay, error: unknown): void {
    if (this.stopping.signal.aborted) return;
    this.pool.failed(way);
    const { message } = error instanceof GrpcStatusError ? error : toStatusError(error);
    const reason = error instanceof Error ? error.message : message;
    this.logger.warn({ address: way.address, reason }, 'a node tells no more of its tables');
  }
}

const NOTHING = new Uint8Array(0);

function emptyView(): View {
  const cluster = { id: '', generation: 0 };
  return { tables: new Map(), nodes: new Map(), cluster, touched: new Set() };
}

function apply(change: feedV1.TablesChange, view: View): void {
  // Nodes that do not tell it yet are of a cluster that was never promoted.
  view.cluster = { id: change.clusterId, generation: Math.max(1, Number(change.generation)) };
  for (const id of change.deletedTables) {
    view.tables.delete(Number(id));
    view.touched.add(Number(id));
  }
  for (const table of change.tables) {
    const known = knownTable(table);
    view.tables.set(known.id, known);
    view.touched.add(known.id);
  }
  for (const id of change.removedNodes) view.nodes.delete(Number(id));
  for (const { id, clientUrl } of change.nodes) {
    if (clientUrl !== '') view.nodes.set(Number(id), clientUrl);
  }
}

function knownTable(table: feedV1.Table): KnownTable {
  const leader = Number(table.preferredLeader);
  const others = table.replicas.map(Number).filter((replica) => replica !== leader);
  return {
    id: Number(table.id),
    name: table.name,
    epoch: Number(table.epoch),
    replicas: [leader, ...others],
    revision: Number(table.revision),
  };
}
