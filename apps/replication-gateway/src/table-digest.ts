/**
 * The digest of a whole table as of one moment, for who sends a part of it and who makes the whole of it.
 *
 *   CRC-32C (4) | CRC-32 (4) | number of rows (8)
 *
 * In: rows in the order of keys, any number at a time. Out: 16 bytes that say whether two tables are the same.
 * Both checksums are of the rows as the checksum of a snapshot covers them, little-endian like all else; together
 * they are as good as one of 64 bits. What it has come to can be kept, and gone on from. It says nothing of who
 * made a table: it is no signature.
 */
import { type hot } from '@flotilla/proto';
import { crc32, crc32c } from '@node-rs/crc32';
import { cover } from './snapshot-checksum.js';

export const TABLE_DIGEST_BYTES = 16;

export class TableDigest {
  private constructor(
    private castagnoli: number,
    private ieee: number,
    private rows: number,
  ) {}

  /** Of a table without rows. */
  static empty(): TableDigest {
    return new TableDigest(0, 0, 0);
  }

  /** Undefined for what is none. */
  static from(bytes: Buffer): TableDigest | undefined {
    if (bytes.length !== TABLE_DIGEST_BYTES) return undefined;
    const rows = Number(bytes.readBigUInt64LE(8));
    if (!Number.isSafeInteger(rows)) return undefined;
    return new TableDigest(bytes.readUInt32LE(0), bytes.readUInt32LE(4), rows);
  }

  /** The next rows, in the order of keys. */
  add(rows: readonly hot.FeedRow[]): void {
    if (rows.length === 0) return;
    cover({ rows, deletedKeys: [] }, (bytes) => {
      this.castagnoli = crc32c(bytes, this.castagnoli);
      this.ieee = crc32(bytes, this.ieee);
    });
    this.rows += rows.length;
  }

  bytes(): Buffer {
    const bytes = Buffer.alloc(TABLE_DIGEST_BYTES);
    bytes.writeUInt32LE(this.castagnoli, 0);
    bytes.writeUInt32LE(this.ieee, 4);
    bytes.writeBigUInt64LE(BigInt(this.rows), 8);
    return bytes;
  }
}
