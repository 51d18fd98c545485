/**
 * What a table holds, as one number: two clusters hold the same if the numbers are the same.
 *
 * In: the API address of any node, a table, a revision (0 for as it is). Out: SHA-256 of all rows in the
 * order of keys, each with its value, its two revisions and its version, read through `Feed.ReadTable`.
 */
import { createHash } from 'node:crypto';
import { createGrpcClient } from '@flotilla/grpc';
import { feedV1 } from '@flotilla/proto';

const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
const CALL_MS = 60_000;
/** Create revision, mod revision and version, after the lengths of key and value. */
const NUMBER_BYTES = 8;
const LENGTH_BYTES = 4;

export interface TableHash {
  readonly hash: string;
  readonly rows: number;
  /** That the rows are of. */
  readonly revision: number;
}

export async function tableHash(
  address: string,
  table: string,
  atRevision = 0,
): Promise<TableHash> {
  const client = createGrpcClient(address);
  const request = { table: Buffer.from(table), atRevision: BigInt(atRevision), linearizable: true };
  const bytes = feedV1.ReadTableRequest.encode(feedV1.ReadTableRequest.fromPartial(request));
  const digest = createHash('sha256');
  let rows = 0;
  let revision: number | undefined;
  let isWhole = false;
  try {
    const options = { deadlineMs: CALL_MS };
    for await (const message of client.serverStream(READ_TABLE, bytes.finish(), options)) {
      const chunk = feedV1.TableChunk.decode(message);
      if (chunk.position) revision = Number(chunk.position.revision);
      for (const row of chunk.rows) addRow(digest, row);
      rows += chunk.rows.length;
      isWhole = !chunk.more;
    }
  } finally {
    client.close();
  }
  if (!isWhole || revision === undefined) throw new Error(`table ${table} was cut short`);
  return { hash: digest.digest('hex'), rows, revision };
}

function addRow(digest: ReturnType<typeof createHash>, row: feedV1.Row): void {
  for (const bytes of [row.key, row.value]) {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(bytes.length);
    digest.update(length).update(bytes);
  }
  const numbers = Buffer.alloc(3 * NUMBER_BYTES);
  for (const [at, number] of [row.createRevision, row.modRevision, row.version].entries()) {
    numbers.writeBigUInt64LE(number, at * NUMBER_BYTES);
  }
  digest.update(numbers);
}
