/**
 * Rows as they lie in a chunk, one behind the other.
 *
 *   kind (1)  key bytes (4)  value bytes (4)  create (8)  mod (8)  version (8)  key  value
 *
 * In: rows, deleted keys and log entries. Out: bytes, and back. Numbers are little-endian. Every
 * length is held against what is left before it is believed; what follows the last record is
 * refused. Views of the chunk come out, not copies.
 */
import { RECORD_BYTES_MAX } from '../bounds.js';
import { damaged } from '../backup-error.js';

export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

export interface RowRecord extends Row {
  readonly kind: 'row';
}

/** A key that is there no more; `key` is all there is to tell. */
export interface DeletedRecord {
  readonly kind: 'deleted';
  readonly key: Buffer;
}

/** One entry of a table's log, as it lies there. */
export interface EntryRecord {
  readonly kind: 'entry';
  readonly index: number;
  /** Wall clock of the one who wrote it down. */
  readonly atMs: number;
  readonly command: Buffer;
  /** Check of the entry, by which a node tells whether its log is of the same history; where it is known. */
  readonly check?: bigint;
}

export type BackupRecord = RowRecord | DeletedRecord | EntryRecord;

export const KINDS = { row: 1, deleted: 2, entry: 3 } as const;
/** Before the key. */
export const HEAD_BYTES = 33;
const CHECK_BYTES = 8;
const NOTHING = Buffer.alloc(0);
/** What the upper half of a number counts. */
const HALF = 2 ** 32;
/** The upper half of the largest number that is safe. */
const UPPER_HALF_MAX = 2 ** 21 - 1;

export function recordBytes(record: BackupRecord): number {
  switch (record.kind) {
    case 'row':
      return HEAD_BYTES + record.key.length + record.value.length;
    case 'deleted':
      return HEAD_BYTES + record.key.length;
    case 'entry':
      return HEAD_BYTES + (record.check === undefined ? 0 : CHECK_BYTES) + record.command.length;
  }
}

export function encodeRecords(records: readonly BackupRecord[]): Buffer {
  const out = Buffer.allocUnsafe(records.reduce((sum, each) => sum + recordBytes(each), 0));
  let at = 0;
  for (const record of records) at = writeRecord(out, at, record);
  return out;
}

/** There must be room for `recordBytes` of it. Returns where the next one goes. */
export function writeRecord(out: Buffer, at: number, record: BackupRecord): number {
  switch (record.kind) {
    case 'row': {
      const { key, value, createRevision, modRevision, version } = record;
      writeNumber(out, at + 9, createRevision);
      writeNumber(out, at + 17, modRevision);
      writeNumber(out, at + 25, version);
      return writeParts(out, at, KINDS.row, key, value);
    }
    case 'deleted':
      out.fill(0, at + 9, at + HEAD_BYTES);
      return writeParts(out, at, KINDS.deleted, record.key, NOTHING);
    case 'entry':
      writeNumber(out, at + 9, record.index);
      writeNumber(out, at + 17, record.atMs);
      writeNumber(out, at + 25, 0);
      return writeParts(out, at, KINDS.entry, checkBytes(record.check), record.command);
  }
}

function writeParts(out: Buffer, at: number, kind: number, key: Buffer, value: Buffer): number {
  const keyAt = at + HEAD_BYTES;
  const valueAt = keyAt + key.length;
  out[at] = kind;
  out.writeUInt32LE(key.length, at + 1);
  out.writeUInt32LE(value.length, at + 5);
  out.set(key, keyAt);
  out.set(value, valueAt);
  return valueAt + value.length;
}

function checkBytes(check: bigint | undefined): Buffer {
  if (check === undefined) return NOTHING;
  const bytes = Buffer.alloc(CHECK_BYTES);
  bytes.writeBigUInt64LE(check);
  return bytes;
}

export function* decodeRecords(plain: Buffer, object: string): Generator<BackupRecord> {
  for (let at = 0; at < plain.length;) {
    const end = checkRecord(plain, at, object);
    yield readRecord(plain, at);
    at = end;
  }
}

/** Whether there is a record that can be believed. Returns where the next one begins. */
export function checkRecord(plain: Buffer, at: number, object: string): number {
  if (plain.length - at < HEAD_BYTES) throw damaged(object, 'a record is cut short');
  const keyBytes = keyBytesAt(plain, at);
  const valueBytes = plain.readUInt32LE(at + 5);
  const end = at + HEAD_BYTES + keyBytes + valueBytes;
  if (keyBytes + valueBytes > RECORD_BYTES_MAX || end > plain.length) {
    throw damaged(object, `a record of ${keyBytes} and ${valueBytes} bytes`);
  }
  const kind = plain.readUInt8(at);
  const isKnown =
    kind === KINDS.row ||
    (kind === KINDS.deleted && valueBytes === 0) ||
    (kind === KINDS.entry && (keyBytes === 0 || keyBytes === CHECK_BYTES));
  if (!isKnown) throw damaged(object, `a record of kind ${kind}`);
  if (kind === KINDS.deleted) return end;
  for (let number = 0; number < (kind === KINDS.row ? 3 : 2); number++) {
    if (plain.readUInt32LE(at + 13 + 8 * number) <= UPPER_HALF_MAX) continue;
    throw damaged(object, `a number of ${numberAt(plain, at, number)}`);
  }
  return end;
}

/** A record that was checked. */
export function readRecord(plain: Buffer, at: number): BackupRecord {
  const keyAt = at + HEAD_BYTES;
  const valueAt = keyAt + keyBytesAt(plain, at);
  const key = plain.subarray(keyAt, valueAt);
  const kind = plain.readUInt8(at);
  if (kind === KINDS.deleted) return { kind: 'deleted', key };
  const value = plain.subarray(valueAt, valueAt + plain.readUInt32LE(at + 5));
  const [first, second] = [numberAt(plain, at, 0), numberAt(plain, at, 1)];
  if (kind === KINDS.row) {
    const version = numberAt(plain, at, 2);
    return { kind: 'row', key, value, createRevision: first, modRevision: second, version };
  }
  const check = key.length === 0 ? {} : { check: key.readBigUInt64LE() };
  return { kind: 'entry', index: first, atMs: second, command: value, ...check };
}

export function keyBytesAt(plain: Buffer, at: number): number {
  return plain.readUInt32LE(at + 1);
}

/** Two halves: a BigInt for each number of each row is what this would cost most. */
function writeNumber(out: Buffer, at: number, number: number): void {
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new RangeError(`${number} is no number that a record has`);
  }
  out.writeUInt32LE(number >>> 0, at);
  out.writeUInt32LE(Math.floor(number / HALF), at + 4);
}

/** One of the three numbers of a record. */
function numberAt(plain: Buffer, at: number, number: number): number {
  const place = at + 9 + 8 * number;
  return plain.readUInt32LE(place + 4) * HALF + plain.readUInt32LE(place);
}
