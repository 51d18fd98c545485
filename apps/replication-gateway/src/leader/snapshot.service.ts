/**
 * `replication.v1.Snapshot.Stream`: a whole table, for follower clusters whose position is gone from the
 * log; for those of Armada that ask for it, only what changed.
 *
 * In: a table's name. Out: chunks of 1 MiB at most. A stream that breaks ends with an error, never as if
 * it had been all.
 */
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { deadlineOf } from './log.service.js';
import { PacedSink } from './paced-sink.js';
import { type SnapshotWriter } from './snapshot-writer.js';

export const SNAPSHOT_STREAM = '/replication.v1.Snapshot/Stream';

/** Data of one message: what followers of Regatta expect at most. */
export const CHUNK_DATA_BYTES_MAX = 1024 * 1024;
/** Room for the fields of a chunk beside its data. */
const CHUNK_FRAME_BYTES = 64;

const { SnapshotChunk, SnapshotRequest } = replicationV1;

export class SnapshotService {
  private readonly dataBytesMax: number;

  constructor(
    private readonly writer: Pick<SnapshotWriter, 'write'>,
    private readonly clock: GatewayClock,
    sendMessageBytesMax: number,
  ) {
    this.dataBytesMax = Math.min(CHUNK_DATA_BYTES_MAX, sendMessageBytesMax - CHUNK_FRAME_BYTES);
  }

  register(server: GrpcServer): void {
    server.register(SNAPSHOT_STREAM, 'server-stream', (bytes, call, sink) =>
      this.stream(bytes, call, sink),
    );
  }

  private async stream(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const { table, incremental = false, leaderIndex = 0n } = SnapshotRequest.decode(bytes);
    const paced = new PacedSink(sink, this.clock);
    const since = incremental ? leaderIndex : undefined;
    const options = { deadlineMs: deadlineOf(call, this.clock), signal: call.signal };
    const wanted = { table, since, pieceBytesMax: this.dataBytesMax };
    try {
      await this.writer.write(wanted, options, (data) =>
        paced.send(SnapshotChunk.encode({ data, len: BigInt(data.length), index: 0n }).finish()),
      );
    } catch (error) {
      throw withTable(table.toString(), error);
    }
  }
}

/** As Regatta says it; codes other than that of a table that is not there stay. */
function withTable(name: string, error: unknown): unknown {
  if (!(error instanceof GrpcStatusError) || error.code !== status.NOT_FOUND) return error;
  const text = `unable to stream from table '${name}': ${error.message}`;
  return new GrpcStatusError(status.UNAVAILABLE, text, undefined, { cause: error });
}
