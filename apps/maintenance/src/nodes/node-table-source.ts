/**
 * The tables of the cluster, as backups read them (`flotilla.replication.v1.Feed`).
 *
 * In: the ways to the nodes. Out: the source that `@flotilla/backup` asks for. A stream comes from one
 * node and ends only when that has said so; what may be gone on with elsewhere is `SOURCE_CUT`.
 */
import {
  BackupError,
  type BackupErrorCode,
  type ReadRequest,
  type SourceChunk,
  type SourceCluster,
  type SourceTable,
  type TableSource,
} from '@flotilla/backup';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { FEED_REASONS, feedReasonOf, feedV1, hot } from '@flotilla/proto';
import { type NodeWay, type NodeWays } from './node-ways.js';

export const WATCH_TABLES = '/flotilla.replication.v1.Feed/WatchTables';
export const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
const VIEW_MS = 10_000;
const VIEW_ATTEMPTS_MAX = 8;

export class NodeTableSource implements TableSource {
  /** Nodes that hold a table, by its id. */
  private replicas = new Map<number, readonly number[]>();

  constructor(private readonly ways: NodeWays) {}

  async cluster(signal: AbortSignal): Promise<SourceCluster> {
    for (let attempt = 1; ; attempt++) {
      const way = this.ways.way();
      try {
        return await this.view(way, signal);
      } catch (error) {
        this.ways.failed(way);
        if (signal.aborted || !isLost(error) || attempt >= VIEW_ATTEMPTS_MAX) throw error;
      }
    }
  }

  async *read(
    request: ReadRequest,
    signal: AbortSignal,
  ): AsyncGenerator<SourceChunk, void, undefined> {
    const { table, atRevision, afterKey, sinceRevision } = request;
    const way = this.ways.way(this.replicas.get(table.tableId));
    const message = feedV1.ReadTableRequest.encode({
      table: Buffer.from(table.name),
      epoch: BigInt(table.epoch),
      linearizable: true,
      chunkBytesMax: 0,
      atRevision: BigInt(atRevision),
      afterKey: afterKey ?? Buffer.alloc(0),
      sinceRevision: BigInt(sinceRevision),
    }).finish();
    const metadata = this.ways.credentials;
    let more = true;
    try {
      for await (const bytes of way.client.serverStream(READ_TABLE, message, {
        signal,
        metadata,
      })) {
        const chunk = hot.decodeTableChunk(bytes);
        more = chunk.more;
        yield chunk;
      }
    } catch (error) {
      if (isLost(error)) this.ways.failed(way);
      throw meaningOf(error, table, signal);
    }
    // A stream that was cut must not pass for a table that is complete.
    if (more) throw new BackupError('SOURCE_CUT', `table ${table.name} was cut short`);
  }

  private async view(way: NodeWay, signal: AbortSignal): Promise<SourceCluster> {
    const options = { signal, metadata: this.ways.credentials, deadlineMs: VIEW_MS };
    const tables: feedV1.Table[] = [];
    const nodes = new Map<number, string>();
    for await (const bytes of way.client.serverStream(WATCH_TABLES, NOTHING, options)) {
      const change = feedV1.TablesChange.decode(bytes);
      tables.push(...change.tables);
      for (const { id, clientUrl } of change.nodes) {
        if (clientUrl !== '') nodes.set(Number(id), clientUrl);
      }
      if (change.more) continue;
      this.ways.learn(nodes);
      this.replicas = new Map(tables.map((table) => [Number(table.id), replicasOf(table)]));
      const known = tables.map(({ id, name, epoch }) => ({
        name,
        tableId: Number(id),
        epoch: Number(epoch),
      }));
      known.sort((a, b) => (a.name < b.name ? -1 : 1));
      return { clusterId: change.clusterId, tables: known };
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'a node has not told which tables there are');
  }
}

/** What can be done about a failure. */
function meaningOf(error: unknown, table: SourceTable, signal: AbortSignal): unknown {
  if (!(error instanceof GrpcStatusError) || signal.aborted) return error;
  const code = codeOf(error);
  if (!code) return error;
  return new BackupError(code, `table ${table.name}: ${error.message}`, { cause: error });
}

function codeOf(error: GrpcStatusError): BackupErrorCode | undefined {
  if (error.code === status.NOT_FOUND) return 'TABLE_CHANGED';
  if (error.code === status.FAILED_PRECONDITION) {
    const reason = feedReasonOf(error.metadata);
    if (reason === undefined) return undefined;
    return reason === FEED_REASONS.otherEpoch ? 'TABLE_CHANGED' : 'REVISION_GONE';
  }
  return isLost(error) ? 'SOURCE_CUT' : undefined;
}

const NOTHING = new Uint8Array(0);

/** Where a table is asked for first. */
export function replicasOf({ replicas, preferredLeader }: feedV1.Table): readonly number[] {
  return [preferredLeader, ...replicas.filter((each) => each !== preferredLeader)].map(Number);
}

/** Another node, or the same one later, may do better. */
function isLost(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false;
  const { code } = error;
  return (
    code === status.UNAVAILABLE ||
    code === status.DEADLINE_EXCEEDED ||
    code === status.RESOURCE_EXHAUSTED ||
    code === status.CANCELLED
  );
}
