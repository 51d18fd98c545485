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
const HEAD_BYTES = 1 + 4;
const ROW_REST_BYTES = 4 + 3 * 8;
const TWO_32 = 2 ** 32;

export type ChecksumPart = Pick<hot.FeedTableChunk, 'rows' | 'deletedKeys'>;

/** The checksum after one more chunk; it is 0 before the first one. */
export function snapshotChecksum({ rows, deletedKeys }: ChecksumPart, previous: number): number {
  let size = 0;
  for (const { key, value } of rows)
    size += HEAD_BYTES + key.length + ROW_REST_BYTES + value.length;
  for (const key of deletedKeys) size += HEAD_BYTES + key.length;
  if (size === 0) return previous;
  const covered = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { key, value, createRevision, modRevision, version } of rows) {
    at = writeKey(covered, at, ROW, key);
    at = covered.writeUInt32LE(value.length, at);
    covered.set(value, at);
    at += value.length;
    for (const number of [createRevision, modRevision, version]) {
      at = covered.writeUInt32LE(number % TWO_32, at);
      at = covered.writeUInt32LE(Math.floor(number / TWO_32), at);
    }
  }
  for (const key of deletedKeys) at = writeKey(covered, at, DELETED, key);
  return crc32c(covered, previous);
}

function writeKey(covered: Buffer, from: number, kind: number, key: Uint8Array): number {
  let at = covered.writeUInt8(kind, from);
  at = covered.writeUInt32LE(key.length, at);
  covered.set(key, at);
  return at + key.length;
}
