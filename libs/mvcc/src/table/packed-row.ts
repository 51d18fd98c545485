/**
 * Rows as they stand in an answer: each one a field `kvs` of `regatta.v1.RangeResponse`, its tag and
 * length included, so that rows one behind the other are a part of an answer.
 *
 *   [1a][length] ([0a][length][key]) ([10][create revision]) ([18][mod revision]) ([22][length][value])
 *
 * In: rows as the engine holds them, versions, keys alone. Out: packed bytes. What is empty or 0 is
 * left out, as the wire format has it. A damaged row must never be packed: it throws.
 */
import { FORMAT, type Version } from './row-codec.js';
import { damaged, varintSize, writeVarint } from './varint.js';

const ROW_TAG = 0x1a;
const KEY_TAG = 0x0a;
const CREATE_REVISION_TAG = 0x10;
const MOD_REVISION_TAG = 0x18;
const VALUE_TAG = 0x22;

/** A number of 53 bits takes so many bytes, and the last one of them is below this bound. */
const NUMBER_BYTES_MAX = 8;
const LAST_BYTE_END = 0x10;
/** Up to here a loop is faster than a call. */
const COPY_LOOP_BYTES_MAX = 64;

/** What a stored row of that size takes at most once it is packed. */
export function packedBytesMax(storedBytes: number): number {
  if (storedBytes < 112) return storedBytes + 3;
  return storedBytes + (storedBytes < 16_000 ? 5 : 11);
}

/** Packs the row of a live version as the engine holds it. Returns the position behind it. */
export function packStored(out: Buffer, start: number, stored: Buffer): number {
  if (stored[0] !== FORMAT) throw damaged(`a version has format ${stored[0] ?? 'none'}`);
  const createEnd = numberEnd(stored, 1);
  const modEnd = numberEnd(stored, createEnd);
  const keyAt = keyLengthAt(stored, modEnd);
  const keyStart = numberEnd(stored, keyAt);
  const valueStart = keyStart + numberAt(stored, keyAt);
  if (valueStart > stored.length) throw damaged('a key is longer than its row');
  const valueBytes = stored.length - valueStart;
  const hasCreate = stored[1] !== 0;
  const hasMod = stored[createEnd] !== 0;
  const size =
    dataBytes(valueStart - keyStart) +
    (hasCreate ? createEnd : 0) +
    (hasMod ? 1 + modEnd - createEnd : 0) +
    dataBytes(valueBytes);
  out[start] = ROW_TAG;
  let at = writeVarint(out, start + 1, size);
  if (valueStart > keyStart) at = packData(out, at, KEY_TAG, stored, keyStart, valueStart);
  if (hasCreate) {
    out[at] = CREATE_REVISION_TAG;
    at = copy(out, at + 1, stored, 1, createEnd);
  }
  if (hasMod) {
    out[at] = MOD_REVISION_TAG;
    at = copy(out, at + 1, stored, createEnd, modEnd);
  }
  return valueBytes === 0 ? at : packData(out, at, VALUE_TAG, stored, valueStart, stored.length);
}

/** The key of a live version's row as the engine holds it. */
export function storedKey(stored: Buffer): Buffer {
  const keyAt = keyLengthAt(stored, numberEnd(stored, numberEnd(stored, 1)));
  const keyStart = numberEnd(stored, keyAt);
  return stored.subarray(keyStart, keyStart + numberAt(stored, keyAt));
}

/** Bytes that a version takes once it is packed. */
export function packedVersionBytes(row: Version): number {
  const size = versionFieldsBytes(row);
  return 1 + varintSize(size) + size;
}

export function packVersion(out: Buffer, start: number, row: Version): number {
  const { key, value, createRevision, modRevision } = row;
  out[start] = ROW_TAG;
  let at = writeVarint(out, start + 1, versionFieldsBytes(row));
  if (key.length > 0) at = packData(out, at, KEY_TAG, key, 0, key.length);
  if (createRevision > 0) {
    out[at] = CREATE_REVISION_TAG;
    at = writeVarint(out, at + 1, createRevision);
  }
  if (modRevision > 0) {
    out[at] = MOD_REVISION_TAG;
    at = writeVarint(out, at + 1, modRevision);
  }
  return value.length === 0 ? at : packData(out, at, VALUE_TAG, value, 0, value.length);
}

/** Bytes that a row of a key alone takes. */
export function packedKeyBytes(keyBytes: number): number {
  const size = dataBytes(keyBytes);
  return 1 + varintSize(size) + size;
}

/** Packs a row of a key alone, the one between two positions of `from`. */
export function packKey(
  out: Buffer,
  start: number,
  from: Uint8Array,
  keyStart: number,
  keyEnd: number,
): number {
  out[start] = ROW_TAG;
  const at = writeVarint(out, start + 1, dataBytes(keyEnd - keyStart));
  return keyStart === keyEnd ? at : packData(out, at, KEY_TAG, from, keyStart, keyEnd);
}

/** Where the key of the packed row at a position begins; `keyStart + keyBytesAt` is its end. */
export function packedKeyStart(packed: Uint8Array, row: number): number {
  const at = packedKeyAt(packed, row);
  return at === 0 ? row : numberEnd(packed, at);
}

export function packedKeyLength(packed: Uint8Array, row: number): number {
  const at = packedKeyAt(packed, row);
  return at === 0 ? 0 : numberAt(packed, at);
}

/** Where the length of a packed row's key stands; 0 for an empty key, which is left out. */
function packedKeyAt(packed: Uint8Array, row: number): number {
  const fields = numberEnd(packed, row + 1);
  const size = numberAt(packed, row + 1);
  return size > 0 && packed[fields] === KEY_TAG ? fields + 1 : 0;
}

/** Behind version, lease and epoch. */
function keyLengthAt(stored: Buffer, versionAt: number): number {
  return numberEnd(stored, numberEnd(stored, numberEnd(stored, versionAt)));
}

function versionFieldsBytes({ key, value, createRevision, modRevision }: Version): number {
  return (
    dataBytes(key.length) +
    (createRevision > 0 ? 1 + varintSize(createRevision) : 0) +
    (modRevision > 0 ? 1 + varintSize(modRevision) : 0) +
    dataBytes(value.length)
  );
}

/** A field of bytes with its tag; none if it is empty. */
function dataBytes(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length;
}

/** Packs what lies between two positions of `from` as a field with its length. */
export function packData(
  out: Buffer,
  at: number,
  tag: number,
  from: Uint8Array,
  start: number,
  end: number,
): number {
  out[at] = tag;
  return copy(out, writeVarint(out, at + 1, end - start), from, start, end);
}

/** Copies what lies between two positions of `from`. Returns the position behind it. */
export function copy(
  out: Buffer,
  at: number,
  from: Uint8Array,
  start: number,
  end: number,
): number {
  const shift = at - start;
  if (end - start > COPY_LOOP_BYTES_MAX) out.set(from.subarray(start, end), at);
  else for (let i = start; i < end; i++) out[i + shift] = from[i] ?? 0;
  return end + shift;
}

/** Behind the number at a position. */
export function numberEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  let byte = bytes[at++];
  while (byte !== undefined && byte >= 0x80 && at - start < NUMBER_BYTES_MAX) byte = bytes[at++];
  if (byte === undefined) throw damaged('a number is cut off');
  const isLongest = at - start === NUMBER_BYTES_MAX;
  if (isLongest && byte >= LAST_BYTE_END) throw damaged('a number is out of range');
  return at;
}

export function numberAt(bytes: Uint8Array, start: number): number {
  let value = 0;
  let factor = 1;
  for (let at = start; ; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 0x80;
  }
}
