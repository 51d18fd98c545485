/**
 * The two messages of `flotilla.replication.v1` that carry data: pieces of a log, and of a table.
 *
 * In: entries and rows as the store has them. Out: one buffer of the exact size; and back again, with
 * bytes fields that are views of the input. Numbers are plain ones on both sides.
 */
import { NO_BYTES, WireReader } from './wire-reader.js';
import {
  dataBytes,
  filled,
  fixed64Bytes,
  flagBytes,
  nestedBytes,
  numberBytes,
  writeData,
  writeFixed64,
  writeFlag,
  writeNested,
  writeNumber,
  writePresentData,
} from './wire-writer.js';

export interface FeedEntry {
  readonly index: number;
  /** An encoded `mvcc.v1.Command`, or empty. */
  readonly command: Uint8Array;
}

export interface FeedLogPosition {
  readonly tableId: number;
  readonly epoch: number;
  readonly firstIndex: number;
  readonly appliedIndex: number;
}

export interface FeedLogChunk<Entry extends FeedEntry = FeedEntry> {
  readonly position: FeedLogPosition | undefined;
  readonly entries: readonly Entry[];
  readonly appliedIndex: number;
  readonly compacted: boolean;
  readonly firstIndex: number;
  /** Of the last entry. */
  readonly lastCheck?: bigint | undefined;
  readonly diverged?: boolean | undefined;
}

export interface FeedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

export interface FeedTablePosition {
  readonly tableId: number;
  readonly epoch: number;
  readonly appliedIndex: number;
  readonly revision: number;
  /** Of the entry at `appliedIndex`. */
  readonly appliedCheck?: bigint | undefined;
}

export interface FeedTableChunk<Row extends FeedRow = FeedRow> {
  readonly position: FeedTablePosition | undefined;
  readonly rows: readonly Row[];
  readonly more: boolean;
  /** In the order of keys with the rows. */
  readonly deletedKeys: readonly Uint8Array[];
}

/** With `command` as a Buffer, as it comes out of a chunk. */
export interface ReceivedEntry extends FeedEntry {
  readonly command: Buffer;
}

export interface ReceivedRow extends FeedRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** With everything as Buffers, as it comes out of a message. */
export interface ReceivedTableChunk extends FeedTableChunk<ReceivedRow> {
  readonly deletedKeys: readonly Buffer[];
}

/** The four fields of a position, in the order of their numbers. */
type Four = readonly [number, number, number, number];

export function encodeLogChunk(chunk: FeedLogChunk): Buffer {
  const { position, entries, appliedIndex, compacted, firstIndex, lastCheck, diverged } = chunk;
  const four: Four | undefined = position && [
    position.tableId,
    position.epoch,
    position.firstIndex,
    position.appliedIndex,
  ];
  let size = fourBytes(four) + numberBytes(appliedIndex) + flagBytes(compacted);
  size += numberBytes(firstIndex) + fixed64Bytes(lastCheck) + (diverged === undefined ? 0 : 2);
  for (const entry of entries) size += nestedBytes(entryBytes(entry));
  const out = Buffer.allocUnsafe(size);
  let at = writeFour(out, 0, four);
  for (const entry of entries) at = writeEntry(out, at, entry);
  at = writeNumber(out, at, 0x18, appliedIndex);
  at = writeFlag(out, at, 0x20, compacted);
  at = writeNumber(out, at, 0x28, firstIndex);
  at = writeFixed64(out, at, 0x31, lastCheck);
  if (diverged !== undefined) at = out.writeUInt8(diverged ? 1 : 0, out.writeUInt8(0x38, at));
  return filled(out, at);
}

export function decodeLogChunk(bytes: Buffer): FeedLogChunk<ReceivedEntry> {
  const reader = new WireReader(bytes);
  let position: FeedLogPosition | undefined;
  const entries: ReceivedEntry[] = [];
  let appliedIndex = 0;
  let compacted = false;
  let firstIndex = 0;
  let lastCheck: bigint | undefined;
  let diverged: boolean | undefined;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) {
      const [tableId, epoch, first, applied] = readFour(reader);
      position = { tableId, epoch, firstIndex: first, appliedIndex: applied };
    } else if (tag === 0x12) entries.push(readEntry(reader));
    else if (tag === 0x18) appliedIndex = reader.count();
    else if (tag === 0x20) compacted = reader.bool();
    else if (tag === 0x28) firstIndex = reader.count();
    else if (tag === 0x31) lastCheck = reader.fixed64();
    else if (tag === 0x38) diverged = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { position, entries, appliedIndex, compacted, firstIndex, lastCheck, diverged };
}

export function encodeTableChunk({ position, rows, more, deletedKeys }: FeedTableChunk): Buffer {
  let size = tableHeadBytes({ position, rows }) + flagBytes(more);
  for (const key of deletedKeys) size += nestedBytes(key.length);
  const out = Buffer.allocUnsafe(size);
  let at = writeTableHead(out, { position, rows });
  at = writeFlag(out, at, 0x18, more);
  for (const key of deletedKeys) at = writePresentData(out, at, 0x22, key);
  return filled(out, at);
}

/** Rows of a chunk, encoded, in bytes that have room in front of them and behind. */
export interface PackedRows {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Room that {@link completeTableChunk} may take in front of the rows, and behind them. */
export const TABLE_CHUNK_HEAD_BYTES = 47;
export const TABLE_CHUNK_TAIL_BYTES = 2;

/** A chunk of packed rows, without deleted keys: the rest is written around the rows. */
export function completeTableChunk(
  { bytes, start, end }: PackedRows,
  position: FeedTablePosition | undefined,
  more: boolean,
): Buffer {
  const from = start - tablePositionBytes(position);
  const to = end + flagBytes(more);
  if (from < 0 || to > bytes.length) throw new RangeError('rows without room around them');
  writeTablePosition(bytes, from, position);
  writeFlag(bytes, end, 0x18, more);
  return bytes.subarray(from, to);
}

export function decodeTableChunk(bytes: Buffer): ReceivedTableChunk {
  const reader = new WireReader(bytes);
  let position: FeedTablePosition | undefined;
  const rows: ReceivedRow[] = [];
  const deletedKeys: Buffer[] = [];
  let more = false;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) position = readTablePosition(reader);
    else if (tag === 0x12) rows.push(readRow(reader));
    else if (tag === 0x18) more = reader.bool();
    else if (tag === 0x22) deletedKeys.push(reader.view());
    else if (!reader.passOver(tag)) break;
  }
  return { position, rows, more, deletedKeys };
}

/** Content of a `LogEntry`. */
export function entryBytes({ index, command }: FeedEntry): number {
  return numberBytes(index) + dataBytes(command);
}

/** A `LogEntry` in field 2 of the message around it. */
export function writeEntry(out: Buffer, from: number, entry: FeedEntry): number {
  let at = writeNested(out, from, 0x12, entryBytes(entry));
  at = writeNumber(out, at, 0x08, entry.index);
  return writeData(out, at, 0x12, entry.command);
}

type TableHead = Pick<FeedTableChunk, 'position' | 'rows'>;

/** Fields 1 and 2 of a message with rows: where they stand, and the rows. */
export function tableHeadBytes({ position, rows }: TableHead): number {
  let size = tablePositionBytes(position);
  for (const row of rows) size += nestedBytes(rowBytes(row));
  return size;
}

export function writeTableHead(out: Buffer, { position, rows }: TableHead): number {
  let at = writeTablePosition(out, 0, position);
  for (const row of rows) at = writeRow(out, at, 0x12, row);
  return at;
}

/** A `Row` in a field of the message around it. */
export function writeRow(out: Buffer, from: number, tag: number, row: FeedRow): number {
  let at = writeNested(out, from, tag, rowBytes(row));
  at = writeData(out, at, 0x0a, row.key);
  at = writeData(out, at, 0x12, row.value);
  at = writeNumber(out, at, 0x18, row.createRevision);
  at = writeNumber(out, at, 0x20, row.modRevision);
  return writeNumber(out, at, 0x28, row.version);
}

/** The next `TablePosition`, behind its tag. */
export function readTablePosition(reader: WireReader): FeedTablePosition {
  const end = reader.nestedEnd();
  let [tableId, epoch, appliedIndex, revision] = [0, 0, 0, 0];
  let appliedCheck: bigint | undefined;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) tableId = reader.count();
    else if (tag === 0x10) epoch = reader.count();
    else if (tag === 0x18) appliedIndex = reader.count();
    else if (tag === 0x20) revision = reader.count();
    else if (tag === 0x29) appliedCheck = reader.fixed64();
    else if (!reader.passOver(tag)) break;
  }
  return { tableId, epoch, appliedIndex, revision, appliedCheck };
}

function tablePositionBytes(position: FeedTablePosition | undefined): number {
  return position === undefined ? 0 : nestedBytes(tablePositionContentBytes(position));
}

function tablePositionContentBytes(position: FeedTablePosition): number {
  return fourContentBytes(fourOf(position)) + fixed64Bytes(position.appliedCheck);
}

function writeTablePosition(
  out: Buffer,
  from: number,
  position: FeedTablePosition | undefined,
): number {
  if (position === undefined) return from;
  const at = writeNested(out, from, 0x0a, tablePositionContentBytes(position));
  return writeFixed64(
    out,
    writeFourContent(out, at, fourOf(position)),
    0x29,
    position.appliedCheck,
  );
}

function fourOf({ tableId, epoch, appliedIndex, revision }: FeedTablePosition): Four {
  return [tableId, epoch, appliedIndex, revision];
}

/** Content of a `Row`. */
export function rowBytes({ key, value, createRevision, modRevision, version }: FeedRow): number {
  const revisions = numberBytes(createRevision) + numberBytes(modRevision);
  return dataBytes(key) + dataBytes(value) + revisions + numberBytes(version);
}

/** The next `LogEntry`, behind its tag. */
export function readEntry(reader: WireReader): ReceivedEntry {
  const end = reader.nestedEnd();
  let index = 0;
  let command = NO_BYTES;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) index = reader.count();
    else if (tag === 0x12) command = reader.view();
    else if (!reader.passOver(tag)) break;
  }
  return { index, command };
}

/** The next `Row`, behind its tag. */
export function readRow(reader: WireReader): ReceivedRow {
  const end = reader.nestedEnd();
  let key = NO_BYTES;
  let value = NO_BYTES;
  let createRevision = 0;
  let modRevision = 0;
  let version = 0;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = reader.view();
    else if (tag === 0x12) value = reader.view();
    else if (tag === 0x18) createRevision = reader.count();
    else if (tag === 0x20) modRevision = reader.count();
    else if (tag === 0x28) version = reader.count();
    else if (!reader.passOver(tag)) break;
  }
  return { key, value, createRevision, modRevision, version };
}

function fourContentBytes([one, two, three, four]: Four): number {
  return numberBytes(one) + numberBytes(two) + numberBytes(three) + numberBytes(four);
}

function fourBytes(fields: Four | undefined): number {
  return fields === undefined ? 0 : nestedBytes(fourContentBytes(fields));
}

function writeFour(out: Buffer, from: number, fields: Four | undefined): number {
  if (fields === undefined) return from;
  const at = writeNested(out, from, 0x0a, fourContentBytes(fields));
  return writeFourContent(out, at, fields);
}

function writeFourContent(out: Buffer, from: number, [one, two, three, four]: Four): number {
  let at = writeNumber(out, from, 0x08, one);
  at = writeNumber(out, at, 0x10, two);
  at = writeNumber(out, at, 0x18, three);
  return writeNumber(out, at, 0x20, four);
}

function readFour(reader: WireReader): Four {
  const end = reader.nestedEnd();
  const fields: [number, number, number, number] = [0, 0, 0, 0];
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) fields[0] = reader.count();
    else if (tag === 0x10) fields[1] = reader.count();
    else if (tag === 0x18) fields[2] = reader.count();
    else if (tag === 0x20) fields[3] = reader.count();
    else if (!reader.passOver(tag)) break;
  }
  return fields;
}
