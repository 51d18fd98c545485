/**
 * A piece of a table's log as an object: the envelope of a chunk, and records of entries in it.
 *
 * In: entries whose revisions follow each other. Out: an object whose name has the first one, the last
 * one and its SHA-256, and back. What is opened has exactly the entries that the name says: a flipped bit,
 * a missing entry or another table's object is refused with the name of the object.
 */
import { BackupError, damaged } from '../backup-error.js';
import { type ChunkPlace, isEncrypted, openChunk, sealChunk } from './chunk-codec.js';
import { type BackupKey, type KeyRing } from './key-ring.js';
import { type LogName, logName, type LogRange } from './log-names.js';
import { decodeRecords, encodeRecords, type EntryRecord } from './records.js';

export interface SealedLog {
  readonly name: string;
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** Entries without gaps, at least one. */
export async function sealLog(
  table: Pick<LogRange, 'tableId' | 'epoch'>,
  entries: readonly EntryRecord[],
  key: BackupKey | undefined,
): Promise<SealedLog> {
  const { tableId, epoch } = table;
  const first = entries[0]?.index ?? 0;
  const range = { tableId, epoch, first, last: entries.at(-1)?.index ?? 0 };
  const gap = entries.findIndex(({ index }, at) => index !== first + at);
  if (first < 1 || gap >= 0) throw new BackupError('INVALID', 'entries: they have a gap');
  const { bytes, sha256 } = await sealChunk(encodeRecords(entries), placeOf(range), key);
  return { name: logName(range, sha256), bytes, sha256 };
}

/** `keyIds`: what the log of the table is written with; the empty one if it may be without a key. */
export async function openLog(
  log: LogName,
  bytes: Buffer,
  keyIds: readonly string[],
  keys: KeyRing,
): Promise<readonly EntryRecord[]> {
  const plain = await openWithOne(log, bytes, keyIds, keys);
  const entries: EntryRecord[] = [];
  for (const record of decodeRecords(plain, log.name)) {
    if (record.kind !== 'entry') throw damaged(log.name, `it holds a ${record.kind}`);
    if (record.index !== log.first + entries.length) {
      throw damaged(log.name, `it holds entry ${record.index} out of order`);
    }
    entries.push(record);
  }
  if (entries.length === log.last - log.first + 1) return entries;
  throw damaged(log.name, `it holds ${entries.length} entries`);
}

async function openWithOne(
  log: LogName,
  bytes: Buffer,
  keyIds: readonly string[],
  keys: KeyRing,
): Promise<Buffer> {
  const open = (key: BackupKey | undefined) =>
    openChunk(bytes, log.sha256, placeOf(log), key, log.name);
  if (!isEncrypted(bytes)) {
    // The hash comes first: what is damaged is told as that.
    const plain = await open(undefined);
    if (keyIds.includes('')) return plain;
    throw damaged(log.name, 'it is not encrypted, as it ought to be');
  }
  // Any key of ours will do: who can write with it may.
  const likely = keyIds.filter((id) => id !== '').toReversed();
  let failure: unknown;
  for (const id of new Set([...likely, ...keys.ids])) {
    try {
      return await open(keys.get(id));
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure instanceof Error) throw failure;
  throw damaged(log.name, 'it is encrypted, and there is no key here');
}

function placeOf({ tableId, epoch, first, last }: LogRange): ChunkPlace {
  return { backup: 'logs', table: tableId, part: `log ${epoch}/${first}-${last}` };
}
