/**
 * What changed in a table after an index of its log, as followers of Armada ask for it: the records of a
 * snapshot, with a DELETE for each key that is gone.
 *
 *   rows and deleted keys --> PUT and DELETE in the order of keys ... --> DUMMY with the index
 *
 * Who asks applies them to what it has. So where the history does not reach back to its index, and where
 * a node tells everything, it is refused: a whole table in the place of changes would leave the keys
 * behind that were deleted meanwhile.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { hot, mvccV1 } from '@flotilla/proto';
import { type ReadOptions, type TableChunk } from '../nodes/feed.js';

const { Command, Command_CommandType } = mvccV1;
const LENGTH_BYTES = 8;

export type ChangesChunk = TableChunk;

export interface ChangesReader {
  /**
   * Rows that changed after an index, and keys that were deleted since; the first chunk has the
   * position, and is alone if the index lies beyond it. Rejects with FailedPrecondition where the history
   * does not reach back that far.
   */
  readChanges(table: Buffer, afterIndex: number, options: ReadOptions): AsyncIterable<ChangesChunk>;
}

/** Plain records. Rejects with FailedPrecondition and OutOfRange, and as the reader does. */
export async function* changesSince(
  feed: ChangesReader,
  table: Buffer,
  leaderIndex: bigint,
  options: ReadOptions,
): AsyncGenerator<Buffer, void, undefined> {
  if (leaderIndex > BigInt(Number.MAX_SAFE_INTEGER)) throw beyond(leaderIndex);
  const since = Number(leaderIndex);
  let index = 0;
  for await (const { position, rows, deletedKeys } of feed.readChanges(table, since, options)) {
    if (position) index = position.appliedIndex;
    if (index < since) throw beyond(leaderIndex);
    if (rows.some(({ modRevision }) => modRevision <= since)) throw notChanges();
    yield Buffer.concat(inOrder(rows, deletedKeys).map((each) => recordOf(table, each)));
  }
  yield hot.encodeSnapshotEnd(table, index);
}

interface Change {
  readonly key: Buffer;
  /** Undefined for a key that is gone. */
  readonly value: Buffer | undefined;
}

/** Both are in the order of keys. */
function inOrder(rows: ChangesChunk['rows'], deletedKeys: readonly Buffer[]): Change[] {
  const deleted = deletedKeys.map((key) => ({ key, value: undefined }));
  if (deleted.length === 0) return [...rows];
  return [...rows, ...deleted].sort((a, b) => Buffer.compare(a.key, b.key));
}

function recordOf(table: Buffer, { key, value }: Change): Buffer {
  if (value !== undefined) return hot.encodeSnapshotPair(table, key, value);
  const fields = { table, type: Command_CommandType.DELETE, kv: { key } };
  const command = Command.encode(Command.fromPartial(fields)).finish();
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(command.length));
  return Buffer.concat([length, command]);
}

function beyond(leaderIndex: bigint): GrpcStatusError {
  const text = `leader_index ${leaderIndex} lies beyond what is applied`;
  return new GrpcStatusError(status.OUT_OF_RANGE, text);
}

function notChanges(): GrpcStatusError {
  const text = 'the nodes cannot tell what changed: a whole snapshot is needed';
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}
