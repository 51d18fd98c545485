/**
 * The two messages of `flotilla.replication.v1.Link` that carry data: commands of a subscription, and pieces
 * of a snapshot.
 *
 * In: entries and rows as the store has them. Out: a message of the exact size, and back again, with bytes
 * fields that are views of the input. All other messages are rare, and left to the generated codecs.
 */
import {
  entryBytes,
  type FeedEntry,
  type FeedRow,
  type FeedTableChunk,
  type FeedTablePosition,
  readEntry,
  readRow,
  readTablePosition,
  type ReceivedEntry,
  type ReceivedRow,
  type ReceivedTableChunk,
  tableHeadBytes,
  writeEntry,
  writeTableHead,
} from './feed-codecs.js';
import { WireReader } from './wire-reader.js';
import {
  filled,
  fixed64Bytes,
  flagBytes,
  nestedBytes,
  numberBytes,
  writeFixed64,
  writeFlag,
  writeNested,
  writeNumber,
  writePresentData,
} from './wire-writer.js';

export interface LinkEntriesFields<Entry extends FeedEntry = FeedEntry> {
  readonly subscription: number;
  readonly entries: readonly Entry[];
  readonly leaderRevision: number;
  readonly leaderClockMs: number;
  /** Of the last entry. */
  readonly lastCheck?: bigint | undefined;
}

/** A `TableChunk` with a checksum. */
export interface LinkSnapshotChunk<Row extends FeedRow = FeedRow> extends FeedTableChunk<Row> {
  readonly checksum: number;
  /** Of the whole table, in the last message of some snapshots. */
  readonly tableDigest?: Uint8Array | undefined;
}

export type ReceivedSnapshotChunk = ReceivedTableChunk &
  LinkSnapshotChunk<ReceivedRow> & { readonly tableDigest?: Buffer | undefined };

const TAG_ENTRIES = 0x1a;
const FIXED32_BYTES = 5;

export function encodeLinkEntries(fields: LinkEntriesFields): Buffer {
  const { subscription, entries, leaderRevision, leaderClockMs, lastCheck } = fields;
  let size = numberBytes(subscription) + numberBytes(leaderRevision) + numberBytes(leaderClockMs);
  size += fixed64Bytes(lastCheck);
  for (const entry of entries) size += nestedBytes(entryBytes(entry));
  const out = Buffer.allocUnsafe(nestedBytes(size));
  let at = writeNested(out, 0, TAG_ENTRIES, size);
  at = writeNumber(out, at, 0x08, subscription);
  for (const entry of entries) at = writeEntry(out, at, entry);
  at = writeNumber(out, at, 0x18, leaderRevision);
  at = writeNumber(out, at, 0x20, leaderClockMs);
  return filled(out, writeFixed64(out, at, 0x29, lastCheck));
}

/** Undefined for an `AttachMessage` of another kind, and for one that is made in an unusual way. */
export function decodeLinkEntries(bytes: Buffer): LinkEntriesFields<ReceivedEntry> | undefined {
  const reader = new WireReader(bytes);
  if (bytes.length === 0 || reader.uint32() !== TAG_ENTRIES) return undefined;
  const end = reader.nestedEnd();
  if (end !== bytes.length) return undefined;
  const entries: ReceivedEntry[] = [];
  let subscription = 0;
  let leaderRevision = 0;
  let leaderClockMs = 0;
  let lastCheck: bigint | undefined;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) subscription = reader.count();
    else if (tag === 0x12) entries.push(readEntry(reader));
    else if (tag === 0x18) leaderRevision = reader.count();
    else if (tag === 0x20) leaderClockMs = reader.count();
    else if (tag === 0x29) lastCheck = reader.fixed64();
    else if (!reader.passOver(tag)) break;
  }
  return { subscription, entries, leaderRevision, leaderClockMs, lastCheck };
}

export function encodeLinkSnapshotChunk(chunk: LinkSnapshotChunk): Buffer {
  const { deletedKeys, checksum, more, tableDigest } = chunk;
  let size = tableHeadBytes(chunk) + flagBytes(more) + (checksum === 0 ? 0 : FIXED32_BYTES);
  for (const key of deletedKeys) size += nestedBytes(key.length);
  if (tableDigest !== undefined) size += nestedBytes(tableDigest.length);
  const out = Buffer.allocUnsafe(size);
  let at = writeTableHead(out, chunk);
  for (const key of deletedKeys) at = writePresentData(out, at, 0x1a, key);
  if (checksum !== 0) at = out.writeUInt32LE(checksum, out.writeUInt8(0x25, at));
  at = writeFlag(out, at, 0x28, more);
  if (tableDigest !== undefined) at = writePresentData(out, at, 0x32, tableDigest);
  return filled(out, at);
}

export function decodeLinkSnapshotChunk(bytes: Buffer): ReceivedSnapshotChunk {
  const reader = new WireReader(bytes);
  let position: FeedTablePosition | undefined;
  const rows: ReceivedRow[] = [];
  const deletedKeys: Buffer[] = [];
  let checksum = 0;
  let more = false;
  let tableDigest: Buffer | undefined;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) position = readTablePosition(reader);
    else if (tag === 0x12) rows.push(readRow(reader));
    else if (tag === 0x1a) deletedKeys.push(reader.view());
    else if (tag === 0x25) checksum = reader.fixed32();
    else if (tag === 0x28) more = reader.bool();
    else if (tag === 0x32) tableDigest = reader.view();
    else if (!reader.passOver(tag)) break;
  }
  return { position, rows, deletedKeys, checksum, more, tableDigest };
}
