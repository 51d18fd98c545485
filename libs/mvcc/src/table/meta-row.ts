/**
 * The meta row: where a table stands, and what it holds (docs/formats/table-rows.md).
 *
 * In: numbers. Out: bytes, and back. It is read before any other row, so it is here that a store
 * of an earlier format is refused by name; it must never be taken for a damaged one, or an empty one.
 */
import { FORMAT } from './row-codec.js';
import { TableError } from './table-error.js';
import { type TableState } from './table-types.js';
import { damaged, readUint64, writeUint64 } from './varint.js';

/** History lay in two areas, one row for each superseded version and one for each revision. */
const FORMAT_BEFORE = 1;

export interface Meta extends TableState {
  keys: number;
  liveBytes: number;
  historyRows: number;
  /** Versions superseded in the table's life, those that were given up included. */
  supersededTotal: number;
  /** No change row lies before this epoch and revision: where compaction goes on. */
  floorEpoch: number;
  floorRevision: number;
}

const META_BYTES = 1 + 11 * 8;
/** With epoch and token of a fence behind the rest, which only follower clusters have. */
const FENCED_META_BYTES = META_BYTES + 2 * 8;

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
    supersededTotal: 0,
    floorEpoch: 1,
    floorRevision: 0,
  };
}

export function encodeMeta(meta: Meta): Buffer {
  const { fence } = meta;
  const target = Buffer.allocUnsafe(fence === undefined ? META_BYTES : FENCED_META_BYTES);
  target[0] = FORMAT;
  let at = writeUint64(target, 1, meta.appliedIndex);
  at = writeUint64(target, at, meta.leaderIndex);
  at = writeUint64(target, at, meta.revision);
  at = writeUint64(target, at, meta.compactedRevision);
  at = writeUint64(target, at, meta.epoch);
  at = writeUint64(target, at, meta.keys);
  at = writeUint64(target, at, meta.liveBytes);
  at = writeUint64(target, at, meta.historyRows);
  at = writeUint64(target, at, meta.supersededTotal);
  at = writeUint64(target, at, meta.floorEpoch);
  at = writeUint64(target, at, meta.floorRevision);
  if (fence !== undefined) writeUint64(target, writeUint64(target, at, fence.epoch), fence.token);
  return target;
}

export function decodeMeta(encoded: Buffer): Meta {
  const format = encoded[0];
  if (format === FORMAT_BEFORE) {
    const what = `a table is stored in format ${format}; this version reads format ${FORMAT} alone`;
    throw new TableError('TABLE_FORMAT_OLD', `${what} and converts nothing`);
  }
  const isFenced = encoded.length === FENCED_META_BYTES;
  if (format !== FORMAT || (!isFenced && encoded.length !== META_BYTES)) {
    throw damaged(`the meta row has format ${format ?? 'none'}, ${encoded.length} bytes`);
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
    supersededTotal: at(8),
    floorEpoch: at(9),
    floorRevision: at(10),
    ...(isFenced && { fence: { epoch: at(11), token: at(12) } }),
  };
}
