/**
 * Rows as they stand in a chunk of a table: each one a field `rows` of `flotilla.replication.v1.TableChunk`,
 * its tag and length included.
 *
 *   [12][length] ([0a][length][key]) ([12][length][value])
 *                ([18][create revision]) ([20][mod revision]) ([28][version])
 *
 * In: rows as the engine holds them. Out: packed bytes; what is empty or 0 is left out, as the wire format
 * has it. No object is made for a row. A damaged row must never be packed: it throws.
 */
import { copy, numberAt, numberEnd, packData } from './packed-row.js';
import { FORMAT } from './row-codec.js';
import { damaged, varintSize, writeVarint } from './varint.js';

const ROWS_TAG = 0x12;
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const CREATE_REVISION_TAG = 0x18;
const MOD_REVISION_TAG = 0x20;
const VERSION_TAG = 0x28;

/** Tags and lengths of the row and its fields, less what only the stored row has. */
const FRAME_BYTES_MAX = 16;

/** What a stored row of that size takes at most in a chunk. */
export function feedRowBytesMax(storedBytes: number): number {
  return storedBytes + FRAME_BYTES_MAX;
}

/** Packs the row of a live version as the engine holds it. Returns the position behind it. */
export function packFeedRow(out: Buffer, start: number, stored: Buffer): number {
  if (stored[0] !== FORMAT) throw damaged(`a version has format ${stored[0] ?? 'none'}`);
  const createEnd = numberEnd(stored, 1);
  const modEnd = numberEnd(stored, createEnd);
  const versionEnd = numberEnd(stored, modEnd);
  // Lease and epoch are nobody else's.
  const keyAt = numberEnd(stored, numberEnd(stored, versionEnd));
  const keyStart = numberEnd(stored, keyAt);
  const valueStart = keyStart + numberAt(stored, keyAt);
  if (valueStart > stored.length) throw damaged('a key is longer than its row');
  out[start] = ROWS_TAG;
  const size =
    dataBytes(valueStart - keyStart) +
    dataBytes(stored.length - valueStart) +
    numberBytes(stored, 1, createEnd) +
    numberBytes(stored, createEnd, modEnd) +
    numberBytes(stored, modEnd, versionEnd);
  let at = writeVarint(out, start + 1, size);
  if (valueStart > keyStart) at = packData(out, at, KEY_TAG, stored, keyStart, valueStart);
  if (valueStart < stored.length) {
    at = packData(out, at, VALUE_TAG, stored, valueStart, stored.length);
  }
  at = packNumber(out, at, CREATE_REVISION_TAG, stored, 1, createEnd);
  at = packNumber(out, at, MOD_REVISION_TAG, stored, createEnd, modEnd);
  return packNumber(out, at, VERSION_TAG, stored, modEnd, versionEnd);
}

function dataBytes(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length;
}

/** A number stored between two positions, as a field: the bytes are the same. */
function numberBytes(stored: Buffer, from: number, end: number): number {
  return stored[from] === 0 ? 0 : 1 + end - from;
}

function packNumber(
  out: Buffer,
  at: number,
  tag: number,
  stored: Buffer,
  from: number,
  end: number,
): number {
  if (stored[from] === 0) return at;
  out[at] = tag;
  return copy(out, at + 1, stored, from, end);
}
