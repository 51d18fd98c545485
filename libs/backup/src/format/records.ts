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
}

export type BackupRecord = RowRecord | DeletedRecord | EntryRecord;

const KINDS = { row: 1, deleted: 2, entry: 3 } as const;
const HEAD_BYTES = 33;
const NOTHING = Buffer.alloc(0);

export function recordBytes(record: BackupRecord): number {
  switch (record.kind) {
    case 'row':
      return HEAD_BYTES + record.key.length + record.value.length;
    case 'deleted':
      return HEAD_BYTES + record.key.length;
    case 'entry':
      return HEAD_BYTES + record.command.length;
  }
}

export function encodeRecords(records: readonly BackupRecord[]): Buffer {
  const out = Buffer.allocUnsafe(records.reduce((sum, each) => sum + recordBytes(each), 0));
  let at = 0;
  for (const record of records) {
    const { key, value, numbers } = partsOf(record);
    out.writeUInt8(KINDS[record.kind], at);
    out.writeUInt32LE(key.length, at + 1);
    out.writeUInt32LE(value.length, at + 5);
    numbers.forEach((number, place) => out.writeBigUInt64LE(BigInt(number), at + 9 + 8 * place));
    at += HEAD_BYTES;
    at += key.copy(out, at);
    at += value.copy(out, at);
  }
  return out;
}

export function* decodeRecords(plain: Buffer, object: string): Generator<BackupRecord> {
  for (let at = 0; at < plain.length;) {
    if (plain.length - at < HEAD_BYTES) throw damaged(object, 'a record is cut short');
    const keyBytes = plain.readUInt32LE(at + 1);
    const valueBytes = plain.readUInt32LE(at + 5);
    const end = at + HEAD_BYTES + keyBytes + valueBytes;
    if (keyBytes + valueBytes > RECORD_BYTES_MAX || end > plain.length) {
      throw damaged(object, `a record of ${keyBytes} and ${valueBytes} bytes`);
    }
    const key = plain.subarray(at + HEAD_BYTES, at + HEAD_BYTES + keyBytes);
    const value = plain.subarray(at + HEAD_BYTES + keyBytes, end);
    const number = (place: number) => safeNumber(plain, at + 9 + 8 * place, object);
    const kind = plain.readUInt8(at);
    if (kind === KINDS.row) {
      const [createRevision, modRevision, version] = [number(0), number(1), number(2)];
      yield { kind: 'row', key, value, createRevision, modRevision, version };
    } else if (kind === KINDS.deleted && valueBytes === 0) yield { kind: 'deleted', key };
    else if (kind === KINDS.entry && keyBytes === 0) {
      yield { kind: 'entry', index: number(0), atMs: number(1), command: value };
    } else throw damaged(object, `a record of kind ${kind}`);
    at = end;
  }
}

function safeNumber(plain: Buffer, at: number, object: string): number {
  const number = plain.readBigUInt64LE(at);
  if (number > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(object, `a number of ${number}`);
  return Number(number);
}

interface Parts {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly numbers: readonly [number, number, number];
}

function partsOf(record: BackupRecord): Parts {
  switch (record.kind) {
    case 'row': {
      const { key, value, createRevision, modRevision, version } = record;
      return { key, value, numbers: [createRevision, modRevision, version] };
    }
    case 'deleted':
      return { key: record.key, value: NOTHING, numbers: [0, 0, 0] };
    case 'entry':
      return { key: NOTHING, value: record.command, numbers: [record.index, record.atMs, 0] };
  }
}
