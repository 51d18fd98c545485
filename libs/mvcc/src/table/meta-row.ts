/**
 * The meta row: where a table stands, and what it holds (docs/formats/table-rows.md).
 *
 * In: where it stands. Out: bytes, and back. It is read before any other row, so it is here that a store
 * of an earlier format is refused by name; it must never be taken for a damaged one, or an empty one.
 */
import { FORMAT } from './row-codec.js';
import { TableError } from './table-error.js';
import { type FenceState, type FillState, type TableState } from './table-types.js';
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
/** With flags, fence, offset and birth, of tables that were filled or adopted, and copies with a check. */
const BORN_META_BYTES = FENCED_META_BYTES + 1 + 2 * 8;
/** Behind that, where it is known: the check of the entry that a copy stands at. */
const CHECK_BYTES = 8;
/** With token and batches of a filling, and behind them its note. */
const FILL_BYTES_MIN = 2 * 8;

/** Flags of the longer forms. */
const HAS_FENCE = 1;
const HAS_FILL = 2;
const FILL_IS_OPEN = 4;
const HAS_CHECK = 8;
const FLAGS_ALL = HAS_FENCE | HAS_FILL | FILL_IS_OPEN | HAS_CHECK;

const EMPTY = Buffer.alloc(0);

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
    revisionOffset: 0,
    bornAtIndex: 0,
  };
}

export function encodeMeta(meta: Meta): Buffer {
  const { fence } = meta;
  const { bornAtIndex, fill, leaderCheck } = meta;
  const isLong = bornAtIndex > 0 || fill !== undefined || leaderCheck !== undefined;
  const rest = isLong ? encodeBirth(meta) : EMPTY;
  const headBytes = fence === undefined && !isLong ? META_BYTES : FENCED_META_BYTES;
  const target = Buffer.allocUnsafe(headBytes + rest.length);
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
  if (headBytes === META_BYTES) return target;
  writeUint64(target, writeUint64(target, at, fence?.epoch ?? 0), fence?.token ?? 0);
  rest.copy(target, headBytes);
  return target;
}

/** What stands behind the numbers of the fence in the longer forms. */
function encodeBirth({ fence, fill, leaderCheck, revisionOffset, bornAtIndex }: Meta): Buffer {
  const check = leaderCheck === undefined ? 0 : HAS_CHECK;
  const filling = fill ? HAS_FILL | (fill.isOpen ? FILL_IS_OPEN : 0) : 0;
  const bytes = bytesWith(check | filling) - FENCED_META_BYTES;
  const head = Buffer.allocUnsafe(bytes);
  let at = head.writeUInt8((fence ? HAS_FENCE : 0) | check | filling, 0);
  at = writeUint64(head, writeUint64(head, at, revisionOffset), bornAtIndex);
  if (leaderCheck !== undefined) at = head.writeBigUInt64BE(leaderCheck, at);
  if (fill === undefined) return head;
  writeUint64(head, writeUint64(head, at, fill.token), fill.batches);
  return Buffer.concat([head, fill.note]);
}

/** Of a row of the longer form, without a note. */
function bytesWith(flags: number): number {
  const checkBytes = (flags & HAS_CHECK) === 0 ? 0 : CHECK_BYTES;
  return BORN_META_BYTES + checkBytes + ((flags & HAS_FILL) === 0 ? 0 : FILL_BYTES_MIN);
}

export function decodeMeta(encoded: Buffer): Meta {
  const format = encoded[0];
  if (format === FORMAT_BEFORE) {
    const what = `a table is stored in format ${format}; this version reads format ${FORMAT} alone`;
    throw new TableError('TABLE_FORMAT_OLD', `${what} and converts nothing`);
  }
  const { length } = encoded;
  const isKnown = length === META_BYTES || length === FENCED_META_BYTES || isLongMeta(encoded);
  if (format !== FORMAT || !isKnown) {
    throw damaged(`the meta row has format ${format ?? 'none'}, ${length} bytes`);
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
    revisionOffset: 0,
    bornAtIndex: 0,
    ...(length === FENCED_META_BYTES && { fence: { epoch: at(11), token: at(12) } }),
    ...(length > FENCED_META_BYTES && decodeBirth(encoded, { epoch: at(11), token: at(12) })),
  };
}

function isLongMeta(encoded: Buffer): boolean {
  const flags = encoded[FENCED_META_BYTES] ?? 0;
  if (flags > FLAGS_ALL) return false;
  const bytes = bytesWith(flags);
  return (flags & HAS_FILL) === 0 ? encoded.length === bytes : encoded.length >= bytes;
}

function decodeBirth(encoded: Buffer, fence: FenceState): Partial<Meta> {
  const flags = encoded[FENCED_META_BYTES] ?? 0;
  const hasCheck = (flags & HAS_CHECK) !== 0;
  const fillAt = BORN_META_BYTES + (hasCheck ? CHECK_BYTES : 0);
  const fill: FillState | undefined =
    (flags & HAS_FILL) === 0
      ? undefined
      : {
          token: readUint64(encoded, fillAt),
          batches: readUint64(encoded, fillAt + 8),
          isOpen: (flags & FILL_IS_OPEN) !== 0,
          note: Buffer.from(encoded.subarray(fillAt + FILL_BYTES_MIN)),
        };
  return {
    revisionOffset: readUint64(encoded, FENCED_META_BYTES + 1),
    bornAtIndex: readUint64(encoded, FENCED_META_BYTES + 1 + 8),
    ...((flags & HAS_FENCE) !== 0 && { fence }),
    ...(hasCheck && { leaderCheck: encoded.readBigUInt64BE(BORN_META_BYTES) }),
    ...(fill && { fill }),
  };
}
