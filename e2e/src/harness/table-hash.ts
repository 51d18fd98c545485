/**
 * What a table holds, as one number: two clusters hold the same if the numbers are the same.
 *
 * In: the API address of any node, a table, a revision (0 for as it is). Out: SHA-256 of all rows in the
 * order of keys, each with its value, its two revisions and its version, read through `Feed.ReadTable`.
 */
import { createHash } from 'node:crypto';
import { type feedV1 } from '@flotilla/proto';
import { tableRows } from './table-rows.js';

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
  deadlineMs?: number,
  onRow: (row: feedV1.Row) => void = () => undefined,
): Promise<TableHash> {
  const digest = createHash('sha256');
  const reading = tableRows(address, table, atRevision, deadlineMs);
  for (let rows = 0; ; rows++) {
    const next = await reading.next();
    if (next.done === true) return { hash: digest.digest('hex'), rows, revision: next.value };
    addRow(digest, next.value);
    onRow(next.value);
  }
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
