/**
 * `replication.v1.Snapshot`: a whole table, for follower clusters whose position is gone from the log.
 *
 *   pairs --> length and PUT, each --> one framed snappy stream --> chunks of 1 MiB at most
 *         ... --> DUMMY with the index that the pairs stand for: what comes next in the log follows it
 *
 * Nothing is gathered, in memory or on disk: a chunk leaves as soon as it is full. Without the closing
 * record a snapshot is not whole, so a stream that breaks ends with an error.
 */
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  SnappyFramedEncoder,
  status,
} from '@flotilla/grpc';
import { hot, replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type Feed, type TableChunk } from '../nodes/feed.js';
import { deadlineOf } from './log.service.js';
import { PacedSink } from './paced-sink.js';
import { type ReplicationMetrics } from './replication-metrics.js';
import { RunningSnapshots } from './running-snapshots.js';

export const SNAPSHOT_STREAM = '/replication.v1.Snapshot/Stream';

/** Data of one message: what followers of Regatta expect at most. */
export const CHUNK_DATA_BYTES_MAX = 1024 * 1024;
/** Room for the fields of a chunk beside its data. */
const CHUNK_FRAME_BYTES = 64;

const { SnapshotChunk, SnapshotRequest } = replicationV1;

export class SnapshotService {
  private readonly dataBytesMax: number;

  constructor(
    private readonly feed: Pick<Feed, 'readTable'>,
    private readonly clock: GatewayClock,
    private readonly metrics: Pick<ReplicationMetrics, 'snapshot' | 'snapshotBytes'>,
    sendMessageBytesMax: number,
    private readonly running = new RunningSnapshots(),
  ) {
    this.dataBytesMax = Math.min(CHUNK_DATA_BYTES_MAX, sendMessageBytesMax - CHUNK_FRAME_BYTES);
  }

  register(server: GrpcServer): void {
    server.register(SNAPSHOT_STREAM, 'server-stream', (bytes, call, sink) =>
      this.stream(bytes, call, sink),
    );
  }

  private async stream(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const { table } = SnapshotRequest.decode(bytes);
    const name = table.toString();
    await this.running.run(async () => {
      try {
        await this.send(table, call, new PacedSink(sink, this.clock));
        this.metrics.snapshot(name, 'done');
      } catch (error) {
        this.metrics.snapshot(name, 'failed');
        throw withTable(name, error);
      }
    });
  }

  private async send(table: Buffer, call: CallContext, paced: PacedSink): Promise<void> {
    const out = new ChunkWriter(this.dataBytesMax, async (data) => {
      const message = SnapshotChunk.encode({ data, len: BigInt(data.length), index: 0n }).finish();
      await paced.send(message);
      this.metrics.snapshotBytes(table.toString(), data.length);
    });
    const options = { deadlineMs: deadlineOf(call, this.clock), signal: call.signal };
    let index = 0;
    for await (const { position, rows } of this.feed.readTable(table, options)) {
      if (position) index = position.appliedIndex;
      await out.write(records(table, rows));
    }
    await out.write(hot.encodeSnapshotEnd(table, index));
    await out.end();
  }
}

/** Packs plain bytes and cuts what comes out into chunks. */
class ChunkWriter {
  private readonly encoder = new SnappyFramedEncoder();
  private parts: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly bytesMax: number,
    private readonly give: (data: Buffer) => Promise<void>,
  ) {}

  async write(plain: Uint8Array): Promise<void> {
    this.take(this.encoder.push(plain));
    while (this.bytes >= this.bytesMax) await this.giveChunk();
  }

  async end(): Promise<void> {
    this.take(this.encoder.end());
    while (this.bytes > 0) await this.giveChunk();
  }

  private take(packed: readonly Buffer[]): void {
    for (const part of packed) {
      this.parts.push(part);
      this.bytes += part.length;
    }
  }

  private async giveChunk(): Promise<void> {
    const whole = Buffer.concat(this.parts);
    const data = whole.subarray(0, this.bytesMax);
    const rest = whole.subarray(data.length);
    this.parts = rest.length > 0 ? [rest] : [];
    this.bytes = rest.length;
    await this.give(data);
  }
}

function records(table: Buffer, rows: TableChunk['rows']): Buffer {
  return Buffer.concat(rows.map(({ key, value }) => hot.encodeSnapshotPair(table, key, value)));
}

/** As Regatta says it; codes other than that of a table that is not there stay. */
function withTable(name: string, error: unknown): unknown {
  if (!(error instanceof GrpcStatusError) || error.code !== status.NOT_FOUND) return error;
  const text = `unable to stream from table '${name}': ${error.message}`;
  return new GrpcStatusError(status.UNAVAILABLE, text, undefined, { cause: error });
}
