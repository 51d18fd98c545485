/**
 * The checksum that a snapshot carries in each of its chunks, as docs/replication.md describes it:
 * CRC-32C over what all chunks so far hold.
 */
import { crc32c } from '@node-rs/crc32';
import { type linkV1 } from '@flotilla/proto';

export function checksumAfter(
  { rows, deletedKeys }: Pick<linkV1.SnapshotChunk, 'rows' | 'deletedKeys'>,
  before: number,
): number {
  let sum = before;
  for (const row of rows) {
    const head = Buffer.alloc(32);
    head.writeUInt32LE(row.key.length, 0);
    head.writeUInt32LE(row.value.length, 4);
    head.writeBigUInt64LE(row.createRevision, 8);
    head.writeBigUInt64LE(row.modRevision, 16);
    head.writeBigUInt64LE(row.version, 24);
    sum = crc32c(row.value, crc32c(row.key, crc32c(head, sum)));
  }
  for (const key of deletedKeys) {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(key.length, 0);
    sum = crc32c(key, crc32c(head, sum));
  }
  return sum >>> 0;
}
