/**
 * One chunk of a table's state on its way to another node (docs/formats/table-snapshot.md).
 *
 *   magic 4 | flags 1 | sequence 4 | rows 4 | body length 4 | body | checksum 4
 *
 * The body is rows; that of the last chunk is followed by totals over all of them. Each chunk has the
 * CRC-32C of all of it, and goes on from the checksum of the one before, so that a chunk that is
 * damaged, missing, doubled or out of its place is always found.
 */
import { crc32c } from './crc32c.js';
import { TableError, type TableErrorCode } from './table-error.js';
import { VarintReader, readUint64, varintSize, writeUint64, writeVarint } from './varint.js';

const MAGIC = 0x46545332;
const FLAG_LAST = 0x01;
const HEAD_BYTES = 17;
const TOTALS_BYTES = 16;
const CHECKSUM_BYTES = 4;
const ROW_CODES: ReadonlySet<TableErrorCode> = new Set(['TABLE_ROW_CORRUPT', 'TABLE_FORMAT_OLD']);

export interface ChunkTotals {
  readonly rows: number;
  readonly bytes: number;
}

export interface DecodedChunk {
  readonly sequence: number;
  /** Keys and values in turn. */
  readonly rows: readonly Buffer[];
  /** In the last chunk only. */
  readonly totals: ChunkTotals | undefined;
  readonly checksum: number;
}

/** `rows` holds keys and values in turn; `previous` is the checksum of the chunk before, 0 first. */
export function encodeChunk(
  sequence: number,
  rows: readonly Buffer[],
  totals: ChunkTotals | undefined,
  previous: number,
): { readonly bytes: Buffer; readonly checksum: number } {
  let bodyBytes = 0;
  for (const part of rows) bodyBytes += varintSize(part.length) + part.length;
  const size = HEAD_BYTES + bodyBytes + (totals ? TOTALS_BYTES : 0) + CHECKSUM_BYTES;
  const bytes = Buffer.allocUnsafe(size);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes[4] = totals ? FLAG_LAST : 0;
  bytes.writeUInt32BE(sequence, 5);
  bytes.writeUInt32BE(rows.length / 2, 9);
  bytes.writeUInt32BE(bodyBytes, 13);
  let at = HEAD_BYTES;
  for (const part of rows) {
    at = writeVarint(bytes, at, part.length);
    at += part.copy(bytes, at);
  }
  if (totals) {
    at = writeUint64(bytes, at, totals.rows);
    at = writeUint64(bytes, at, totals.bytes);
  }
  const checksum = crc32c(bytes.subarray(0, at), previous);
  bytes.writeUInt32BE(checksum, at);
  return { bytes, checksum };
}

/** Throws TableError TABLE_SNAPSHOT_DAMAGED. The rows are views into `bytes`. */
export function decodeChunk(bytes: Buffer, previous: number): DecodedChunk {
  if (bytes.length < HEAD_BYTES + CHECKSUM_BYTES) throw damagedChunk('it is too short');
  const end = bytes.length - CHECKSUM_BYTES;
  const checksum = bytes.readUInt32BE(end);
  if (crc32c(bytes.subarray(0, end), previous) !== checksum) {
    throw damagedChunk('its checksum is wrong, or another chunk belongs before it');
  }
  if (bytes.readUInt32BE(0) !== MAGIC) throw damagedChunk('it is of another format');
  return damageOfChunk(() => ({ ...readBody(bytes, end), checksum }));
}

export function damagedChunk(what: string, cause?: unknown): TableError {
  const message = `a chunk of a snapshot is damaged: ${what}`;
  return new TableError('TABLE_SNAPSHOT_DAMAGED', message, cause === undefined ? {} : { cause });
}

/** What would be a broken store in rows of our own is a damaged chunk in rows that were sent. */
export function damageOfChunk<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TableError) || !ROW_CODES.has(error.code)) throw error;
    throw damagedChunk(error.message, error);
  }
}

function readBody(bytes: Buffer, end: number): Omit<DecodedChunk, 'checksum'> {
  const flags = bytes[4];
  if (flags !== 0 && flags !== FLAG_LAST) throw damagedChunk('it has unknown flags');
  const isLast = flags === FLAG_LAST;
  const bodyEnd = HEAD_BYTES + bytes.readUInt32BE(13);
  if (bodyEnd + (isLast ? TOTALS_BYTES : 0) !== end) throw damagedChunk('its length is wrong');
  const rows = readRows(bytes, bodyEnd, bytes.readUInt32BE(9));
  // Else chunks might come for ever.
  if (rows.length === 0 && !isLast) throw damagedChunk('it is empty, and not the last one');
  const totals = isLast
    ? { rows: readUint64(bytes, bodyEnd), bytes: readUint64(bytes, bodyEnd + 8) }
    : undefined;
  return { sequence: bytes.readUInt32BE(5), rows, totals };
}

function readRows(bytes: Buffer, end: number, count: number): Buffer[] {
  const reader = new VarintReader(bytes, HEAD_BYTES, end);
  const rows: Buffer[] = [];
  for (let part = 0; part < count * 2; part++) {
    const length = reader.next();
    const from = reader.position;
    if (length > end - from) throw damagedChunk('a row is cut off');
    rows.push(bytes.subarray(from, from + length));
    reader.position = from + length;
  }
  if (reader.position !== end) throw damagedChunk('it holds more than its rows');
  return rows;
}
