/**
 * What a table holds, as one number, read through `Feed.ReadTable`.
 *
 * In: a node, a table, a revision. Out: SHA-256 of all rows in the order of keys, each with its value, its
 * two revisions and its version, and how many they are. Throws if the stream was cut.
 */
import { createHash } from 'node:crypto';
import { createGrpcClient } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';

const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
const CALL_MS = 60 * 60_000;

export interface RowsHash {
  readonly hash: string;
  readonly rows: number;
}

/** `atRevision` 0 for as it is. */
export async function rowsHash(
  address: string,
  table: string,
  atRevision: bigint,
): Promise<RowsHash> {
  const client = createGrpcClient(address);
  const wanted = { table: Buffer.from(table), linearizable: true, atRevision };
  const request = feedV1.ReadTableRequest.encode(feedV1.ReadTableRequest.fromPartial(wanted));
  const digest = createHash('sha256');
  let rows = 0;
  let more = true;
  try {
    const options = { deadlineMs: CALL_MS };
    for await (const message of client.serverStream(READ_TABLE, request.finish(), options)) {
      const chunk = hot.decodeTableChunk(message);
      for (const { key, value, createRevision, modRevision, version } of chunk.rows) {
        const head = [key.length, value.length, createRevision, modRevision, version];
        digest.update(Float64Array.from(head)).update(key).update(value);
      }
      rows += chunk.rows.length;
      more = chunk.more;
    }
  } finally {
    client.close();
  }
  if (more) throw new Error(`table ${table} was cut short`);
  return { hash: digest.digest('hex'), rows };
}
