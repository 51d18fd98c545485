/**
 * The logs of the cluster's tables, as they grow (`flotilla.replication.v1.Feed`).
 *
 * In: the ways to the nodes. Out: all tables whenever they change, and entries of a log as a node has them
 * applied. A stream that breaks is an error that says so; whoever reads opens it again, at another node.
 */
import {
  BackupError,
  type FollowRequest,
  type LogPart,
  type LogSource,
  type SourceCluster,
  type SourceTable,
} from '@flotilla/backup';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';
import { type NodeWay, type NodeWays } from './node-ways.js';
import { replicasOf, WATCH_TABLES } from './node-table-source.js';

export const READ_LOG = '/flotilla.replication.v1.Feed/ReadLog';
const NOTHING = new Uint8Array(0);

export class NodeLogSource implements LogSource {
  /** Nodes that hold a table, by its id. */
  private readonly replicas = new Map<number, readonly number[]>();

  constructor(private readonly ways: NodeWays) {}

  async *watch(signal: AbortSignal): AsyncGenerator<SourceCluster, void, undefined> {
    const tables = new Map<number, SourceTable>();
    const nodes = new Map<number, string>();
    const way = this.ways.way();
    for await (const bytes of this.stream(way, WATCH_TABLES, NOTHING, signal)) {
      const change = feedV1.TablesChange.decode(bytes);
      if (change.begins) tables.clear();
      for (const table of change.tables) {
        const [tableId, epoch] = [Number(table.id), Number(table.epoch)];
        tables.set(tableId, { name: table.name, tableId, epoch });
        this.replicas.set(tableId, replicasOf(table));
      }
      for (const id of change.deletedTables) {
        tables.delete(Number(id));
        this.replicas.delete(Number(id));
      }
      for (const { id, clientUrl } of change.nodes) nodes.set(Number(id), clientUrl);
      for (const id of change.removedNodes) nodes.delete(Number(id));
      if (change.more) continue;
      this.ways.learn(new Map([...nodes].filter(([, address]) => address !== '')));
      yield { clusterId: change.clusterId, tables: [...tables.values()] };
    }
  }

  async *follow(
    { table, from, previousCheck, partBytesMax }: FollowRequest,
    signal: AbortSignal,
  ): AsyncGenerator<LogPart, void, undefined> {
    const request = feedV1.ReadLogRequest.encode({
      table: Buffer.from(table.name),
      epoch: BigInt(table.epoch),
      from: BigInt(from),
      follow: true,
      linearizable: false,
      chunkBytesMax: partBytesMax,
      previousCheck,
    }).finish();
    const way = this.ways.way(this.replicas.get(table.tableId));
    for await (const bytes of this.stream(way, READ_LOG, request, signal)) {
      const chunk = hot.decodeLogChunk(bytes);
      if (chunk.position && chunk.position.tableId !== table.tableId) {
        throw new BackupError('TABLE_CHANGED', `table ${table.name} is another one now`);
      }
      const { appliedIndex, lastCheck } = chunk;
      if (chunk.diverged === true) {
        yield { entries: [], cutAt: undefined, diverged: true, appliedIndex };
        return;
      }
      if (chunk.compacted) {
        yield { entries: [], cutAt: chunk.firstIndex, appliedIndex };
        return;
      }
      // Copies: what is held until it is stored must not hold what it came in.
      const entries = chunk.entries.map(({ index, command }) => {
        return { index, command: Buffer.from(command) };
      });
      if (entries.length > 0) yield { entries, cutAt: undefined, lastCheck, appliedIndex };
    }
  }

  private async *stream(
    way: NodeWay,
    method: string,
    request: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    const metadata = this.ways.credentials;
    try {
      yield* way.client.serverStream(method, request, { signal, metadata });
    } catch (error) {
      if (signal.aborted || !(error instanceof GrpcStatusError)) throw error;
      const { code, message } = error;
      const isOther = code === status.NOT_FOUND || code === status.FAILED_PRECONDITION;
      if (!isOther) this.ways.failed(way);
      throw new BackupError(isOther ? 'TABLE_CHANGED' : 'SOURCE_CUT', message, { cause: error });
    }
  }
}
