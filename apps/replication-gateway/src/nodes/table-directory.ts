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
}

interface View {
  readonly tables: Map<number, KnownTable>;
  readonly nodes: Map<number, string>;
}

export class TableDirectory {
  private view: View | undefined;
  private byName = new Map<string, KnownTable>();
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

  find(name: string): KnownTable | undefined {
    return this.byName.get(name);
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
        if (change.begins) next = { tables: new Map(), nodes: new Map() };
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
    this.view = view;
    this.lostAtMs = undefined;
    this.byName = new Map(Array.from(view.tables.values(), (table) => [table.name, table]));
    this.pool.learn(view.nodes);
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

function apply(change: feedV1.TablesChange, view: View): void {
  for (const id of change.deletedTables) view.tables.delete(Number(id));
  for (const { id, name, epoch, replicas, preferredLeader } of change.tables) {
    const leader = Number(preferredLeader);
    const others = replicas.map(Number).filter((replica) => replica !== leader);
    const known = { id: Number(id), name, epoch: Number(epoch), replicas: [leader, ...others] };
    view.tables.set(known.id, known);
  }
  for (const id of change.removedNodes) view.nodes.delete(Number(id));
  for (const { id, clientUrl } of change.nodes) {
    if (clientUrl !== '') view.nodes.set(Number(id), clientUrl);
  }
}
