/**
 * The one message of `flotilla.replication.v1.Link` that carries data: commands of a subscription.
 *
 * In: entries as the log has them. Out: an `AttachMessage` of the exact size, and back again, with commands
 * that are views of the input. All other kinds of message are rare, and left to the generated codecs.
 */
import {
  entryBytes,
  type FeedEntry,
  readEntry,
  type ReceivedEntry,
  writeEntry,
} from './feed-codecs.js';
import { WireReader } from './wire-reader.js';
import { filled, nestedBytes, numberBytes, writeNested, writeNumber } from './wire-writer.js';

export interface LinkEntriesFields<Entry extends FeedEntry = FeedEntry> {
  readonly subscription: number;
  readonly entries: readonly Entry[];
  readonly leaderRevision: number;
  readonly leaderClockMs: number;
}

const TAG_ENTRIES = 0x1a;

export function encodeLinkEntries(fields: LinkEntriesFields): Buffer {
  const { subscription, entries, leaderRevision, leaderClockMs } = fields;
  let size = numberBytes(subscription) + numberBytes(leaderRevision) + numberBytes(leaderClockMs);
  for (const entry of entries) size += nestedBytes(entryBytes(entry));
  const out = Buffer.allocUnsafe(nestedBytes(size));
  let at = writeNested(out, 0, TAG_ENTRIES, size);
  at = writeNumber(out, at, 0x08, subscription);
  for (const entry of entries) at = writeEntry(out, at, entry);
  at = writeNumber(out, at, 0x18, leaderRevision);
  return filled(out, writeNumber(out, at, 0x20, leaderClockMs));
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
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) subscription = reader.count();
    else if (tag === 0x12) entries.push(readEntry(reader));
    else if (tag === 0x18) leaderRevision = reader.count();
    else if (tag === 0x20) leaderClockMs = reader.count();
    else if (!reader.passOver(tag)) break;
  }
  return { subscription, entries, leaderRevision, leaderClockMs };
}
