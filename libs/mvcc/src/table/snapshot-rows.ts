/**
 * Whether rows that were sent are those of a table (docs/formats/table-snapshot.md).
 *
 * In: rows without table id and slot, in the order they came. Out: the meta row, once all the others
 * are what it says. A checksum tells that bytes came as they were sent, not that they make sense:
 * what passes here must never be found unreadable, or at odds with itself, once it is a table's state.
 */
import { HISTORY, INDEX, LIVE, META } from './keyspace.js';
import {
  decodeKeyChanges,
  decodeMeta,
  decodeSuperseded,
  decodeVersion,
  type Meta,
} from './row-codec.js';
import { damageOfChunk, damagedChunk } from './snapshot-chunk.js';
import { readUint64 } from './varint.js';

const AREA_BYTES = 1;
const EPOCH_BYTES = 4;
const REVISION_BYTES = 8;
const CHUNK_BYTES = 4;
/** Keys hold epochs of four bytes, and ranges end before the next one. */
const EPOCH_MAX = 0xffffffff;
/** 00 01 between an escaped key and what follows. */
const MARK_BYTES = 2;
const INDEX_KEY_BYTES = AREA_BYTES + EPOCH_BYTES + REVISION_BYTES + CHUNK_BYTES;
const HISTORY_KEY_BYTES_MIN = AREA_BYTES + EPOCH_BYTES + MARK_BYTES + REVISION_BYTES;

export class SnapshotRows {
  private previous: Buffer | undefined;
  private meta: Meta | undefined;
  private keys = 0;
  private liveBytes = 0;
  private historyRows = 0;
  /** Superseded versions that the index names; compaction counts on each being there. */
  private namedRows = 0;

  /** Throws TableError TABLE_SNAPSHOT_DAMAGED. */
  add(key: Buffer, value: Buffer): void {
    if (this.previous && Buffer.compare(this.previous, key) >= 0) {
      throw damagedChunk('its rows are not in order');
    }
    this.previous = key;
    damageOfChunk(() => this.check(key, value));
  }

  /** The meta row of a state that is whole. Throws TableError TABLE_SNAPSHOT_DAMAGED. */
  end(): Meta {
    const { meta, keys, liveBytes, historyRows, namedRows } = this;
    if (!meta) throw damagedChunk('a state without a meta row');
    if (namedRows !== historyRows) {
      throw damagedChunk(`the index names ${namedRows} of ${historyRows} superseded versions`);
    }
    if (meta.keys === keys && meta.liveBytes === liveBytes && meta.historyRows === historyRows) {
      return meta;
    }
    const counted = `${keys} keys of ${liveBytes} bytes, ${historyRows} superseded versions`;
    const said = `${meta.keys} of ${meta.liveBytes}, ${meta.historyRows}`;
    throw damagedChunk(`there are ${counted}, where the meta row says ${said}`);
  }

  private check(key: Buffer, value: Buffer): void {
    const area = key[0];
    if (this.meta === undefined && area !== META) throw damagedChunk('the meta row is not first');
    switch (area) {
      case META:
        if (key.length !== AREA_BYTES) throw damagedChunk('the meta row has a longer key');
        this.meta = decodeMeta(value);
        return checkMeta(this.meta);
      case LIVE:
        return this.checkLive(key, value);
      case HISTORY:
        return this.checkHistory(key, value);
      case INDEX:
        return this.checkIndex(key, value);
      default:
        throw damagedChunk('a row lies in no area of a table');
    }
  }

  private checkLive(key: Buffer, value: Buffer): void {
    const row = decodeVersion(value);
    if (!row.key.equals(key.subarray(AREA_BYTES))) throw damagedChunk('a row of another key');
    this.keys++;
    this.liveBytes += row.key.length + row.value.length;
  }

  private checkIndex(key: Buffer, value: Buffer): void {
    if (key.length !== INDEX_KEY_BYTES) throw damagedChunk('an index key has another length');
    readUint64(key, AREA_BYTES + EPOCH_BYTES);
    const changes = decodeKeyChanges(value);
    if (changes.length === 0) throw damagedChunk('an index row without a change');
    for (const { supersededRevision } of changes) {
      if (supersededRevision !== undefined) this.namedRows++;
    }
  }

  private checkHistory(key: Buffer, value: Buffer): void {
    if (key.length < HISTORY_KEY_BYTES_MIN) throw damagedChunk('a history key is too short');
    const markAt = key.length - REVISION_BYTES - MARK_BYTES;
    const epoch = key.readUInt32BE(AREA_BYTES);
    const revision = readUint64(key, markAt + MARK_BYTES);
    const { row, endRevision } = decodeSuperseded(value);
    const userKey = unescaped(key.subarray(AREA_BYTES + EPOCH_BYTES, markAt + MARK_BYTES));
    if (!row.key.equals(userKey)) throw damagedChunk('a superseded version of another key');
    const madeAt = row.epoch < epoch ? 0 : row.modRevision;
    if (revision !== madeAt || endRevision <= revision) {
      throw damagedChunk('a superseded version does not lie where it was made');
    }
    this.historyRows++;
  }
}

function checkMeta({ appliedIndex, revision, compactedRevision, epoch, floorEpoch }: Meta): void {
  const isPossible =
    appliedIndex > 0 &&
    compactedRevision <= revision &&
    epoch > 0 &&
    epoch < EPOCH_MAX &&
    floorEpoch <= epoch;
  if (!isPossible) throw damagedChunk('the meta row speaks of no table');
}

/** The user key of an escaped one with its mark: every zero byte is followed by FF, the last by 01. */
function unescaped(escaped: Buffer): Buffer {
  const key = Buffer.allocUnsafe(escaped.length);
  const markAt = escaped.length - MARK_BYTES;
  let length = 0;
  let at = 0;
  for (; at < markAt; at++) {
    const byte = escaped[at] ?? 0;
    key[length++] = byte;
    if (byte === 0 && escaped[++at] !== 0xff) throw damagedChunk('a key is not escaped');
  }
  const isMarked = at === markAt && escaped[at] === 0x00 && escaped[at + 1] === 0x01;
  if (!isMarked) throw damagedChunk('a key has no end');
  return key.subarray(0, length);
}
