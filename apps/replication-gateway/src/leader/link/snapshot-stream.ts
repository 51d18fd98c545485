/**
 * `flotilla.replication.v1.Link/ReadSnapshot`: a table, or what changed in it, for a gateway that is attached.
 *
 *   request --checked--> chunks of a node --each with the checksum of all so far--> chunks
 *
 * Nothing is gathered: a chunk is passed on before the next one is read, at the reader's pace. One that breaks can
 * be gone on with at its revision, after the last key that came; its checksum then begins anew. Who asks for a part
 * of a table is told with the last chunk what the whole of it comes to: it is read once more for that.
 */
import { type CallContext, GrpcStatusError, type MessageSink, status } from '@flotilla/grpc';
import { hot, linkV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../gateway-clock.js';
import { type Feed, type TableChunk } from '../../nodes/feed.js';
import { type KnownTable, type TableDirectory } from '../../nodes/table-directory.js';
import { snapshotChecksum } from '../../snapshot-checksum.js';
import { TableDigest } from '../../table-digest.js';
import { deadlineOf } from '../log.service.js';
import { PacedSink } from '../paced-sink.js';
import { type ReplicationMetrics } from '../replication-metrics.js';
import { type RunningSnapshots } from '../running-snapshots.js';
import { checkFollower, invalid } from './attach-request.js';

export interface SnapshotParts {
  readonly feed: Pick<Feed, 'readTable'>;
  readonly directory: Pick<TableDirectory, 'isKnown' | 'cluster' | 'findById'>;
  readonly clock: GatewayClock;
  readonly metrics: Pick<ReplicationMetrics, 'snapshot' | 'snapshotBytes'>;
  readonly snapshots: RunningSnapshots;
}

export async function streamSnapshot(
  parts: SnapshotParts,
  bytes: Buffer,
  call: CallContext,
  sink: MessageSink,
): Promise<void> {
  const request = readRequest(bytes);
  const table = tableOf(request, parts.directory);
  const paced = new PacedSink(sink, parts.clock);
  await parts.snapshots.run(async () => {
    try {
      await send(parts, request, table, call, paced);
      parts.metrics.snapshot(table.name, 'done');
    } catch (error) {
      parts.metrics.snapshot(table.name, 'failed');
      throw error;
    }
  });
}

async function send(
  { feed, clock, metrics }: SnapshotParts,
  { epoch, atRevision, afterKey, sinceRevision }: linkV1.ReadSnapshotRequest,
  { name }: KnownTable,
  call: CallContext,
  paced: PacedSink,
): Promise<void> {
  const options = { deadlineMs: deadlineOf(call, clock), signal: call.signal };
  const part = { epoch, atRevision, afterKey, sinceRevision };
  const table = Buffer.from(name);
  const isPart = sinceRevision !== 0n || afterKey.length > 0;
  let checksum = 0;
  let revision = atRevision;
  for await (const chunk of feed.readTable(table, options, part)) {
    checksum = snapshotChecksum(chunk, checksum);
    if (chunk.position) revision = BigInt(chunk.position.revision);
    const whole = { epoch, atRevision: revision, afterKey: NO_KEY, sinceRevision: 0n };
    const isTold = isPart && !chunk.more;
    const told = isTold && { tableDigest: await digestOf(feed.readTable(table, options, whole)) };
    const message = hot.encodeLinkSnapshotChunk({ ...chunk, checksum, ...told });
    await paced.send(message);
    metrics.snapshotBytes(name, message.length);
  }
}

const NO_KEY = Buffer.alloc(0);

async function digestOf(chunks: AsyncIterable<TableChunk>): Promise<Buffer> {
  const digest = TableDigest.empty();
  for await (const { rows } of chunks) digest.add(rows);
  return digest.bytes();
}

function readRequest(bytes: Buffer): linkV1.ReadSnapshotRequest {
  let request: linkV1.ReadSnapshotRequest;
  try {
    request = linkV1.ReadSnapshotRequest.decode(bytes);
  } catch (error) {
    const text = 'the request is not a flotilla.replication.v1.ReadSnapshotRequest';
    throw new GrpcStatusError(status.INVALID_ARGUMENT, text, undefined, { cause: error });
  }
  if (request.clusterId === '') throw invalid('cluster_id must be set');
  if (request.epoch === 0n) throw invalid('epoch must be set');
  return request;
}

/** Throws what says why there is none. */
function tableOf(
  { tableId, epoch, clusterId, generation }: linkV1.ReadSnapshotRequest,
  directory: SnapshotParts['directory'],
): KnownTable {
  const { cluster, isKnown } = directory;
  if (!isKnown || cluster === undefined) {
    throw new GrpcStatusError(status.UNAVAILABLE, 'no node has told which tables there are');
  }
  checkFollower({ clusterId, generation }, cluster);
  const table = directory.findById(Number(tableId));
  if (table === undefined) {
    throw new GrpcStatusError(status.NOT_FOUND, `there is no table ${tableId}`);
  }
  if (BigInt(table.epoch) !== epoch) {
    const text = `table ${tableId} is in epoch ${table.epoch}, and not in epoch ${epoch}`;
    throw new GrpcStatusError(status.FAILED_PRECONDITION, text);
  }
  return table;
}
