/**
 * Versions of keys, and the values of live rows (docs/formats/table-rows.md).
 *
 * In: versions. Out: bytes, and back. A version's row carries its key too, so that a scan
 * reads values alone. Rows of another format or with impossible numbers must never be taken for
 * something else: reading them throws.
 */
import { type TableRow } from './table-types.js';
import { damaged, VarintReader, varintSize, writeVarint } from './varint.js';

/** First byte of every value. */
export const FORMAT = 2;

/** A version of a key as the table keeps it. */
export class Version implements TableRow {
  /** The live row's bytes, once known. */
  encoded: Buffer | undefined = undefined;

  constructor(
    public key: Buffer,
    public value: Buffer,
    readonly createRevision: number,
    readonly modRevision: number,
    readonly version: number,
    readonly lease: number,
    /** Epoch in which `modRevision` was counted. */
    readonly epoch: number,
  ) {}

  /** A row of which only the key was read. */
  static ofKey(key: Buffer): Version {
    return new Version(key, EMPTY, 0, 0, 0, 0, 0);
  }
}

const EMPTY = Buffer.alloc(0);

/** Encodes once; afterwards key and value lie in the row's own bytes, not in the caller's. */
export function encodeVersion(row: Version): Buffer {
  if (row.encoded !== undefined) return row.encoded;
  const target = Buffer.allocUnsafe(versionSize(row));
  const valueAt = writeVersion(target, 0, row);
  row.key = target.subarray(valueAt - row.key.length, valueAt);
  row.value = target.subarray(valueAt);
  row.encoded = target;
  return target;
}

/**
 * Encodes into bytes that are used again and again, for rows whose bytes nobody keeps. What it gave
 * holds until the next call.
 */
export class VersionEncoder {
  private target: Buffer = EMPTY;

  encode(row: Version): Buffer {
    if (row.encoded !== undefined) return row.encoded;
    const size = versionSize(row);
    // An engine takes whole buffers alone; rows one behind the other often are of one size.
    if (this.target.length !== size) this.target = Buffer.allocUnsafe(size);
    writeVersion(this.target, 0, row);
    return this.target;
  }
}

/** For a row that is given away: it must not lie in bytes that are not ours. */
export function owned(row: Version): Version {
  encodeVersion(row);
  return row;
}

function versionSize(row: Version): number {
  const keyBytes = row.key.length;
  const headBytes =
    1 +
    varintSize(row.createRevision) +
    varintSize(row.modRevision) +
    varintSize(row.version) +
    varintSize(row.lease) +
    varintSize(row.epoch) +
    varintSize(keyBytes);
  return headBytes + keyBytes + row.value.length;
}

/** Returns where the value begins. */
function writeVersion(target: Buffer, start: number, row: Version): number {
  target[start] = FORMAT;
  let at = writeVarint(target, start + 1, row.createRevision);
  at = writeVarint(target, at, row.modRevision);
  at = writeVarint(target, at, row.version);
  at = writeVarint(target, at, row.lease);
  at = writeVarint(target, at, row.epoch);
  at = writeVarint(target, at, row.key.length);
  target.set(row.key, at);
  const valueAt = at + row.key.length;
  target.set(row.value, valueAt);
  return valueAt;
}

export function decodeVersion(encoded: Buffer): Version {
  if (encoded[0] !== FORMAT) throw damaged(`a version has format ${encoded[0] ?? 'none'}`);
  const reader = new VarintReader(encoded, 1);
  const createRevision = reader.next();
  const modRevision = reader.next();
  const version = reader.next();
  const lease = reader.next();
  const epoch = reader.next();
  const keyBytes = reader.next();
  const keyEnd = reader.position + keyBytes;
  if (keyEnd > encoded.length) throw damaged('a key is longer than its row');
  const key = encoded.subarray(reader.position, keyEnd);
  const value = encoded.subarray(keyEnd);
  const row = new Version(key, value, createRevision, modRevision, version, lease, epoch);
  row.encoded = encoded;
  return row;
}
