/**
 * The values of a table's rows (docs/formats/table-rows.md): versions, superseded versions, lists of
 * changed keys, and the meta row.
 *
 * In: versions and lists. Out: bytes, and back. A version's row carries its key too, so that a scan
 * reads values alone. Rows of another format or with impossible numbers must never be taken for
 * something else: reading them throws.
 */
import { type TableRow, type TableState } from './table-types.js';
import {
  damaged,
  readUint64,
  VarintReader,
  varintSize,
  writeUint64,
  writeVarint,
} from './varint.js';

const FORMAT = 1;

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

/** A version that was live from its own revision until, and without, `endRevision`. */
export interface SupersededVersion {
  row: Version;
  endRevision: number;
}

export function encodeSuperseded(row: Version, endRevision: number): Buffer {
  const { encoded } = row;
  const headBytes = 1 + varintSize(endRevision);
  const liveBytes = encoded === undefined ? versionSize(row) : encoded.length;
  const target = Buffer.allocUnsafe(headBytes + liveBytes);
  target[0] = FORMAT;
  writeVarint(target, 1, endRevision);
  if (encoded === undefined) writeVersion(target, headBytes, row);
  else target.set(encoded, headBytes);
  return target;
}

export function decodeSuperseded(encoded: Buffer): SupersededVersion {
  if (encoded[0] !== FORMAT)
    throw damaged(`a superseded version has format ${encoded[0] ?? 'none'}`);
  const reader = new VarintReader(encoded, 1);
  const endRevision = reader.next();
  return { row: decodeVersion(encoded.subarray(reader.position)), endRevision };
}

/** One key in the list of a revision. */
export interface KeyChange {
  key: Uint8Array;
  /** False: the key was deleted. */
  isPut: boolean;
  /** History revision of the version this change superseded; absent if there was none. */
  supersededRevision: number | undefined;
}

const CHANGE_PUT = 1;
const CHANGE_SUPERSEDES = 2;

/** A list of changes goes on in another row after this many bytes. */
export const INDEX_ROW_BYTES_MAX = 64 * 1024;

/** How many bytes a change takes in an index row. */
export function keyChangeSize(change: KeyChange): number {
  const revision = change.supersededRevision;
  const revisionBytes = revision === undefined ? 0 : varintSize(revision);
  return 1 + revisionBytes + varintSize(change.key.length) + change.key.length;
}

export function encodeKeyChanges(changes: readonly KeyChange[]): Buffer {
  let size = 1;
  for (const change of changes) size += keyChangeSize(change);
  const target = Buffer.allocUnsafe(size);
  target[0] = FORMAT;
  let at = 1;
  for (const { key, isPut, supersededRevision } of changes) {
    const flags =
      (isPut ? CHANGE_PUT : 0) | (supersededRevision === undefined ? 0 : CHANGE_SUPERSEDES);
    target[at++] = flags;
    if (supersededRevision !== undefined) at = writeVarint(target, at, supersededRevision);
    at = writeVarint(target, at, key.length);
    target.set(key, at);
    at += key.length;
  }
  return target;
}

export function decodeKeyChanges(encoded: Buffer): KeyChange[] {
  if (encoded[0] !== FORMAT) throw damaged(`an index row has format ${encoded[0] ?? 'none'}`);
  const changes: KeyChange[] = [];
  const reader = new VarintReader(encoded, 1);
  while (reader.position < encoded.length) {
    const flags = reader.next();
    if (flags > (CHANGE_PUT | CHANGE_SUPERSEDES)) throw damaged('an index row has unknown flags');
    const supersededRevision = (flags & CHANGE_SUPERSEDES) === 0 ? undefined : reader.next();
    const keyBytes = reader.next();
    const end = reader.position + keyBytes;
    if (end > encoded.length) throw damaged('a key is longer than its index row');
    const key = encoded.subarray(reader.position, end);
    changes.push({ key, isPut: (flags & CHANGE_PUT) !== 0, supersededRevision });
    reader.position = end;
  }
  return changes;
}

/** The meta row: where the table stands, and what it holds. */
export interface Meta extends TableState {
  keys: number;
  liveBytes: number;
  historyRows: number;
  /** No index row lies before this epoch and revision: where compaction goes on. */
  floorEpoch: number;
  floorRevision: number;
}

const META_BYTES = 1 + 10 * 8;

export function freshMeta(): Meta {
  return {
    appliedIndex: 0,
    leaderIndex: 0,
    revision: 0,
    compactedRevision: 0,
    epoch: 1,
    keys: 0,
    liveBytes: 0,
    historyRows: 0,
    floorEpoch: 1,
    floorRevision: 0,
  };
}

export function encodeMeta(meta: Meta): Buffer {
  const target = Buffer.allocUnsafe(META_BYTES);
  target[0] = FORMAT;
  let at = writeUint64(target, 1, meta.appliedIndex);
  at = writeUint64(target, at, meta.leaderIndex);
  at = writeUint64(target, at, meta.revision);
  at = writeUint64(target, at, meta.compactedRevision);
  at = writeUint64(target, at, meta.epoch);
  at = writeUint64(target, at, meta.keys);
  at = writeUint64(target, at, meta.liveBytes);
  at = writeUint64(target, at, meta.historyRows);
  at = writeUint64(target, at, meta.floorEpoch);
  writeUint64(target, at, meta.floorRevision);
  return target;
}

export function decodeMeta(encoded: Buffer): Meta {
  if (encoded[0] !== FORMAT || encoded.length !== META_BYTES) {
    throw damaged(`the meta row has format ${encoded[0] ?? 'none'}, ${encoded.length} bytes`);
  }
  const at = (field: number): number => readUint64(encoded, 1 + field * 8);
  return {
    appliedIndex: at(0),
    leaderIndex: at(1),
    revision: at(2),
    compactedRevision: at(3),
    epoch: at(4),
    keys: at(5),
    liveBytes: at(6),
    historyRows: at(7),
    floorEpoch: at(8),
    floorRevision: at(9),
  };
}
