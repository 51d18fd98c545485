/**
 * The Feed API: what the replication gateways of this cluster are told.
 *
 *   WatchTables   which tables and nodes there are, and what becomes of them
 *   ReadLog       the applied entries of a table from an index on
 *   ReadTable     all pairs of a table as of one moment, or what changed since an earlier one
 *
 * Any replica answers for its table; a call for a table without one here is passed on, so a gateway
 * needs to reach only one node. Served on the API port: a gateway is a client of the cluster and not
 * one of its nodes, and may come from where the peer port is not open to.
 */
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { FEED_REASON, FEED_REASONS, feedV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { invalid, malformed, notReady, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { withinStallLimit } from '../kv/reader-stall.js';
import { BulkTurns } from './bulk-turns.js';
import { SlicedReads } from '../kv/sliced-reads.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type TableRouter } from '../routing/table-router.js';
import { type RunningTable, type TableRegistry } from '../tables/table-registry.js';
import { checkAt } from './entry-checks.js';
import {
  BARRIER_TIMEOUT_MS,
  CHUNK_BYTES_MAX,
  LOG_CHUNK_BYTES,
  LOG_STREAMS_MAX,
  TABLE_CHUNK_BYTES,
  TABLE_WATCHES_MAX,
} from './feed-limits.js';
import { FeedTraffic } from './feed-traffic.js';
import { LogStream } from './log-stream.js';
import { openTablePages, tableWanted } from './table-pages.js';
import { streamTable } from './table-stream.js';
import { TableWatch } from './table-watch.js';

export const FEED_SERVICE = 'flotilla.replication.v1.Feed';
const path = (method: string): string => `/${FEED_SERVICE}/${method}`;
export const WATCH_TABLES = path('WatchTables');
export const READ_LOG = path('ReadLog');
export const READ_TABLE = path('ReadTable');

/** What the two calls for a table have in common. */
interface TableOfCall {
  readonly table: Buffer;
  readonly epoch: bigint;
  readonly linearizable: boolean;
}

/** A call as it came in, from a client or another node. */
interface Incoming {
  readonly method: string;
  readonly bytes: Buffer;
  readonly call: CallContext;
  readonly sink: MessageSink;
  readonly hops: number;
}

export class FeedService {
  readonly traffic = new FeedTraffic();
  private readonly reads: SlicedReads;
  private readonly turns: BulkTurns;
  private readonly watches = new Set<TableWatch>();
  private logStreams = 0;

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly router: TableRouter,
  ) {
    this.reads = new SlicedReads(runtime.clock);
    this.turns = new BulkTurns(runtime.clock);
    catalog.onChange((changes) => {
      for (const watch of this.watches) watch.follow(changes);
    });
  }

  register(server: GrpcServer): void {
    const { traffic } = this;
    server.register(WATCH_TABLES, 'server-stream', (_, call, sink) =>
      traffic.during('tables', sink, (counted) => this.watchTables(call, counted)),
    );
    server.register(READ_LOG, 'server-stream', (bytes, call, sink) =>
      traffic.during('log', sink, (counted) =>
        withStatus(this.readLog({ method: READ_LOG, bytes, call, sink: counted, hops: 0 })),
      ),
    );
    server.register(READ_TABLE, 'server-stream', (bytes, call, sink) =>
      traffic.during('table', sink, (counted) =>
        withStatus(this.readTable({ method: READ_TABLE, bytes, call, sink: counted, hops: 0 })),
      ),
    );
  }

  /** A call that another node passed on; undefined if it is none of this API. */
  streamPassedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> | undefined {
    const incoming = { method, bytes, call, sink, hops };
    if (method === READ_LOG) return withStatus(this.readLog(incoming));
    if (method === READ_TABLE) return withStatus(this.readTable(incoming));
    return undefined;
  }

  private async watchTables(call: CallContext, sink: MessageSink): Promise<void> {
    if (this.watches.size >= TABLE_WATCHES_MAX) throw tooBusy();
    const revisionOf = (id: number) => this.registry.get(id)?.machine.state.revision ?? 0;
    const watch = new TableWatch(this.catalog, this.runtime.clock, revisionOf, call, sink);
    this.watches.add(watch);
    try {
      await withStatus(watch.run());
    } finally {
      this.watches.delete(watch);
    }
  }

  private async readLog(incoming: Incoming): Promise<void> {
    const { call, sink } = incoming;
    const request = decode(feedV1.ReadLogRequest, incoming.bytes);
    const from = Number(request.from);
    if (!Number.isSafeInteger(from) || from < 1) throw invalid('from must be 1 or larger');
    const found = await this.find(request, incoming);
    if (!found) return;
    const wanted = {
      epoch: found.info.epoch,
      from,
      follow: request.follow,
      chunkBytes: chunkBytes(request.chunkBytesMax, LOG_CHUNK_BYTES),
      previousCheck: request.previousCheck,
      isCopy: found.info.source !== undefined,
    };
    if (this.logStreams >= LOG_STREAMS_MAX) throw tooBusy();
    this.logStreams++;
    try {
      await new LogStream(found.table, wanted, this.runtime.clock, call, sink).run();
    } finally {
      this.logStreams--;
    }
  }

  private async readTable(incoming: Incoming): Promise<void> {
    const { call, sink } = incoming;
    const request = decode(feedV1.ReadTableRequest, incoming.bytes);
    const pageBytesMax = chunkBytes(request.chunkBytesMax, TABLE_CHUNK_BYTES);
    const wanted = tableWanted(request, pageBytesMax);
    const found = await this.find(request, incoming);
    if (!found) return;
    const { info, table } = found;
    const pages = openTablePages(table.machine, wanted);
    await this.reads.holding(pages, async () => {
      const appliedCheck = await checkAt(table, pages.logIndex);
      const source = { tableId: info.id, epoch: info.epoch, appliedCheck };
      await streamTable(pages, source, this.reads, this.turns, this.runtime.clock, call, sink);
    });
  }

  /** The replica here, once it is new enough; undefined if another node has answered instead. */
  private async find(
    wanted: TableOfCall,
    incoming: Incoming,
  ): Promise<{ readonly info: TableInfo; readonly table: RunningTable } | undefined> {
    const { method, bytes, call, sink, hops } = incoming;
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    const info = await this.router.lookUp(wanted.table, deadlineMs);
    if (wanted.epoch !== 0n && Number(wanted.epoch) !== info.epoch) throw otherEpoch(info);
    const remote = await this.router.remoteStream({
      table: wanted.table,
      method,
      request: bytes,
      hops,
      deadlineMs,
      streamDeadlineMs: this.streamDeadline(call),
      signal: call.signal,
    });
    if (remote) {
      await this.passOn(remote, sink);
      return undefined;
    }
    const table = this.router.serving(wanted.table);
    if (!table || table.id !== info.id) throw notReady();
    if (wanted.linearizable && !table.group.isCurrent) {
      await table.group.readBarrier(this.runtime.deadline(BARRIER_TIMEOUT_MS));
    }
    return { info, table };
  }

  private async passOn(remote: AsyncIterable<Buffer>, sink: MessageSink): Promise<void> {
    for await (const message of remote) {
      const behind = sink.write(message);
      if (behind) await withinStallLimit(this.runtime.clock, behind);
    }
  }

  /** A stream goes on for as long as its reader wants it. */
  private streamDeadline(call: CallContext): number {
    if (call.deadline === undefined) return Infinity;
    return this.runtime.deadline(call.deadline - this.runtime.clock.wallMs());
  }
}

function chunkBytes(wanted: number, usual: number): number {
  return wanted === 0 ? usual : Math.min(wanted, CHUNK_BYTES_MAX);
}

function decode<T>(codec: { decode(bytes: Buffer): T }, bytes: Buffer): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}

function otherEpoch({ name, epoch }: TableInfo): GrpcStatusError {
  const message = `table ${name} is in epoch ${epoch}: its history began anew`;
  return new GrpcStatusError(status.FAILED_PRECONDITION, message, {
    [FEED_REASON]: FEED_REASONS.otherEpoch,
  });
}

function tooBusy(): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, 'system is too busy try again later');
}
