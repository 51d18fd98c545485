/**
 * The rows of a table as a node tells them, one after another, through `Feed.ReadTable`.
 *
 * In: the API address of any node, a table, a revision (0 for as it is). Out: all rows in the order of
 * keys, and the revision that they are of. A stream that was cut short is an error. Nothing is held.
 */
import { createGrpcClient } from '@flotilla/grpc';
import { feedV1 } from '@flotilla/proto';

const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
const CALL_MS = 60_000;

/** Returns the revision of the rows. */
export async function* tableRows(
  address: string,
  table: string,
  atRevision = 0,
  deadlineMs = CALL_MS,
): AsyncGenerator<feedV1.Row, number, undefined> {
  const client = createGrpcClient(address);
  const request = { table: Buffer.from(table), atRevision: BigInt(atRevision), linearizable: true };
  const bytes = feedV1.ReadTableRequest.encode(feedV1.ReadTableRequest.fromPartial(request));
  let revision: number | undefined;
  let isWhole = false;
  try {
    for await (const message of client.serverStream(READ_TABLE, bytes.finish(), { deadlineMs })) {
      const chunk = feedV1.TableChunk.decode(message);
      if (chunk.position) revision = Number(chunk.position.revision);
      yield* chunk.rows;
      isWhole = !chunk.more;
    }
  } finally {
    client.close();
  }
  if (!isWhole || revision === undefined) throw new Error(`table ${table} was cut short`);
  return revision;
}
