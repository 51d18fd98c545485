/**
 * `Snapshot.Query`: which stored snapshot a follower of Armada is to load.
 *
 * There is no shared store here, and the answer says so in the words that make such a follower load the
 * table from `/snapshots-live/` instead. It must never be NONE: a follower waits for ever then, because
 * nobody is going to store one (defect B27).
 */
import { type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { replicationV1 } from '@flotilla/proto';

export const SNAPSHOT_QUERY = '/replication.v1.Snapshot/Query';

const { SnapshotQueryRequest } = replicationV1;

export class ArmadaQueryService {
  register(server: GrpcServer): void {
    server.register(SNAPSHOT_QUERY, 'unary', (bytes) => this.query(bytes));
  }

  private query(bytes: Buffer): never {
    const { table } = SnapshotQueryRequest.decode(bytes);
    if (table === '') throw new GrpcStatusError(status.INVALID_ARGUMENT, 'table is required');
    const text = 'shared snapshot store is not configured';
    throw new GrpcStatusError(status.FAILED_PRECONDITION, text);
  }
}
