/**
 * A whole table of the leader cluster, or what changed in it (`Link.ReadSnapshot`).
 *
 * In: from where on, and which one. Out: its position, then pieces in the order of keys. Nothing is
 * given on before its checksum was compared, and a stream that ends early is an error: what was
 * given on by then is good, and the next call goes on behind it.
 */
import { type GrpcClient, GrpcStatusError, status } from '@flotilla/grpc';
import { hot, linkV1 } from '@flotilla/proto';
import { snapshotChecksum } from '../../snapshot-checksum.js';
import {
  type CopySource,
  type RowSnapshot,
  type SnapshotPiece,
  type SnapshotPosition,
  type SnapshotWish,
} from '../ports.js';

const READ_SNAPSHOT = '/flotilla.replication.v1.Link/ReadSnapshot';

export interface SnapshotReader {
  readonly client: GrpcClient;
  readonly clusterId: string;
  readonly generation: number;
  readonly deadlineMs: number;
}

export async function readSnapshot(
  reader: SnapshotReader,
  { tableId, epoch }: CopySource,
  { sinceRevision, atRevision, afterKey }: SnapshotWish,
  signal: AbortSignal,
): Promise<RowSnapshot> {
  const request = linkV1.ReadSnapshotRequest.encode({
    tableId: BigInt(tableId),
    epoch: BigInt(epoch),
    sinceRevision: BigInt(sinceRevision),
    atRevision: BigInt(atRevision),
    afterKey,
    clusterId: reader.clusterId,
    generation: BigInt(reader.generation),
  }).finish();
  const options = { signal, deadlineMs: reader.deadlineMs };
  const messages = reader.client.serverStream(READ_SNAPSHOT, request, options);
  const iterator: Messages = messages[Symbol.asyncIterator]();
  const first = await nextChunk(iterator);
  const position = positionOf(first.chunk, { tableId, epoch });
  return { position, pieces: pieces(iterator, first, afterKey) };
}

type Messages = AsyncIterator<Buffer, unknown>;

interface Received {
  readonly chunk: hot.ReceivedSnapshotChunk;
  readonly bytes: number;
}

async function* pieces(
  messages: Messages,
  first: Received,
  afterKey: Buffer,
): AsyncGenerator<SnapshotPiece, void, undefined> {
  let checksum = 0;
  let lastKey = afterKey;
  try {
    for (let received = first; ;) {
      const { chunk, bytes } = received;
      checksum = snapshotChecksum(chunk, checksum);
      if (checksum !== chunk.checksum) {
        throw new GrpcStatusError(status.DATA_LOSS, 'a chunk of a snapshot came damaged');
      }
      lastKey = lastKeyOf(chunk, lastKey);
      const { rows, deletedKeys, more, tableDigest } = chunk;
      yield { rows, deletedKeys, bytes, isLast: !more, tableDigest };
      if (!more) return;
      received = await nextChunk(messages);
    }
  } finally {
    await messages.return?.();
  }
}

async function nextChunk(messages: Messages): Promise<Received> {
  const next = await messages.next();
  // A stream that was cut must not pass for a table that is complete.
  if (next.done === true) throw new GrpcStatusError(status.UNAVAILABLE, 'a snapshot was cut short');
  return { chunk: hot.decodeLinkSnapshotChunk(next.value), bytes: next.value.length };
}

/** Keys grow from chunk to chunk, or whoever goes on behind one leaves something out. */
function lastKeyOf({ rows, deletedKeys }: hot.ReceivedSnapshotChunk, before: Buffer): Buffer {
  let last = before;
  for (const keys of [rows.map(({ key }) => key), deletedKeys]) {
    let previous = before;
    for (const key of keys) {
      if (Buffer.compare(key, previous) <= 0) {
        throw new GrpcStatusError(status.DATA_LOSS, 'the keys of a snapshot are out of order');
      }
      previous = key;
    }
    if (Buffer.compare(previous, last) > 0) last = previous;
  }
  return last;
}

function positionOf({ position }: hot.ReceivedSnapshotChunk, source: CopySource): SnapshotPosition {
  if (!position) {
    throw new GrpcStatusError(status.DATA_LOSS, 'a snapshot does not begin with its position');
  }
  const { tableId, epoch, appliedIndex, revision, appliedCheck } = position;
  if (tableId !== source.tableId || epoch !== source.epoch) {
    throw new GrpcStatusError(status.FAILED_PRECONDITION, 'it is the snapshot of another table');
  }
  return { index: appliedIndex, revision, check: appliedCheck };
}
