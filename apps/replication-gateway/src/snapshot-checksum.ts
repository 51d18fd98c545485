/**
 * The checksum of a snapshot as `flotilla.replication.v1.Link` streams it, for who sends it and who takes it.
 *
 *   row      01 | key length (4) | key | value length (4) | value | create (8) | mod (8) | version (8)
 *   deleted  02 | key length (4) | key
 *
 * In: chunks in the order of the stream. Out: CRC-32C of all rows and deleted keys so far: of each chunk first its rows,
 * then its deleted keys. Numbers are little-endian. Described in docs/replication.md.
 */
import { type hot } from '@flotilla/proto';
import { crc32c } from '@node-rs/crc32';

const ROW = 1;
const DELETED = 2;
const LENGTH_BYTES = 4;
const NUMBERS_BYTES = 3 * 8;
const TWO_32 = 2 ** 32;

export type ChecksumPart = Pick<hot.FeedTableChunk, 'rows' | 'deletedKeys'>;

/** The checksum after one more chunk; it is 0 before the first one. */
export function snapshotChecksum(part: ChecksumPart, previous: number): number {
  let checksum = previous;
  cover(part, (bytes) => (checksum = crc32c(bytes, checksum)));
  return checksum;
}

/** Gives what a checksum is of, in pieces that are good until `take` returns. */
export function cover({ rows, deletedKeys }: ChecksumPart, take: (bytes: Buffer) => void): void {
  const covered = new Covered(take);
  for (const row of rows) covered.row(row);
  for (const key of deletedKeys) covered.key(DELETED, key);
  covered.flush();
}

/** What is small is gathered here, for all of them: nobody covers two chunks at a time. */
const GATHERED = Buffer.allocUnsafeSlow(64 * 1024);
/** From this size on data is not copied. */
const BY_REFERENCE_BYTES_MIN = 2 * 1024;

class Covered {
  private at = 0;

  constructor(private readonly take: (bytes: Buffer) => void) {}

  row({ key, value, createRevision, modRevision, version }: hot.FeedRow): void {
    this.key(ROW, key);
    this.reserve(LENGTH_BYTES);
    this.at = GATHERED.writeUInt32LE(value.length, this.at);
    this.data(value);
    this.reserve(NUMBERS_BYTES);
    this.number(createRevision);
    this.number(modRevision);
    this.number(version);
  }

  key(kind: number, key: Uint8Array): void {
    this.reserve(1 + LENGTH_BYTES);
    this.at = GATHERED.writeUInt8(kind, this.at);
    this.at = GATHERED.writeUInt32LE(key.length, this.at);
    this.data(key);
  }

  flush(): void {
    if (this.at > 0) this.take(GATHERED.subarray(0, this.at));
    this.at = 0;
  }

  private data(data: Uint8Array): void {
    if (data.length >= BY_REFERENCE_BYTES_MIN) {
      this.flush();
      this.take(
        Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.length),
      );
      return;
    }
    this.reserve(data.length);
    GATHERED.set(data, this.at);
    this.at += data.length;
  }

  private number(number: number): void {
    this.at = GATHERED.writeUInt32LE(number % TWO_32, this.at);
    this.at = GATHERED.writeUInt32LE(Math.floor(number / TWO_32), this.at);
  }

  private reserve(bytes: number): void {
    if (this.at + bytes > GATHERED.length) this.flush();
  }
}
